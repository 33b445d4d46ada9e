"""The steps inside a fitted estimator: walk them, name them, and say what to use in place of one."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from driftgate.models.errors import ConversionError

ALTERNATIVES: Mapping[str, str] = {
    "FunctionTransformer": "compute its columns before the pipeline",
    "KNNImputer": "SimpleImputer",
    "IterativeImputer": "SimpleImputer",
    "MissingIndicator": "SimpleImputer, with the indicator computed before the pipeline",
    "SplineTransformer": "KBinsDiscretizer or PolynomialFeatures",
    "HashingVectorizer": "CountVectorizer or TfidfVectorizer",
    "DictVectorizer": "OneHotEncoder on the columns of a data frame",
    "LocalOutlierFactor": "IsolationForest",
    "RadiusNeighborsClassifier": "KNeighborsClassifier",
    "RadiusNeighborsRegressor": "KNeighborsRegressor",
    "CategoricalNB": "OneHotEncoder with BernoulliNB",
    "LabelBinarizer": "OneHotEncoder",
}
"""What to use in place of a step that has no ONNX form, or none that is faithful."""

CONDITIONS: Mapping[str, str] = {
    "OneHotEncoder": "it without min_frequency and max_categories, on text or whole numbers",
    "OrdinalEncoder": "it without min_frequency and max_categories, on text or numbers",
    "HistGradientBoostingClassifier": "it without categorical_features, after an OrdinalEncoder",
    "HistGradientBoostingRegressor": "it without categorical_features, after an OrdinalEncoder",
}
"""How to use a step whose usual form converts."""

OTHERWISE = "a transformer of scikit-learn with an ONNX form (https://onnx.ai/sklearn-onnx/supported.html)"


def steps_of(estimator: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every estimator inside `estimator`, itself first, with its path such as `columns.encoder`."""
    seen: set[int] = set()
    yield from _walk(estimator, path, seen)


def path_of(estimator: Any, step: Any) -> str:
    """Return the path of `step` inside `estimator`; empty where it is the whole."""
    return next((path for path, found in steps_of(estimator) if found is step), "")


def unconvertible(step: Any, path: str, reason: str) -> ConversionError:
    """Return the error for a step that has no ONNX form, with what to use in its place."""
    kind = type(step).__name__
    where = f"step {path!r} ({kind})" if path else kind
    instead = ALTERNATIVES.get(kind) or CONDITIONS.get(kind, OTHERWISE)
    return ConversionError(f"{where} has no ONNX form: {reason}. Use instead: {instead}.")


def suspects(estimator: Any) -> str:
    """Return a sentence that names the steps whose ONNX form is known to be lacking, or nothing."""
    found = [
        f"step {path!r} ({type(step).__name__}): use {ALTERNATIVES[type(step).__name__]}"
        for path, step in steps_of(estimator)
        if type(step).__name__ in ALTERNATIVES
    ]
    return f" The likely reason: {'; '.join(dict.fromkeys(found))}." if found else ""


def step_at_fault(estimator: Any, traceback: TracebackType | None) -> tuple[str, Any]:
    """Return path and step that the converter was working on when it raised; the whole where that is unknown.

    skl2onnx does not say it in its messages, but every converter is called with an `operator`.
    """
    found = estimator
    while traceback is not None:
        operator = traceback.tb_frame.f_locals.get("operator")
        found = getattr(operator, "raw_operator", None) or found
        traceback = traceback.tb_next
    return path_of(estimator, found), found


def _walk(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(value) in seen:
        return
    if hasattr(value, "get_params") and hasattr(value, "__dict__") and not isinstance(value, type):
        seen.add(id(value))
        yield path, value
        for name, part in sorted(vars(value).items(), key=_fitted_first):
            yield from _walk_part(part, path, name, seen)


def _walk_part(part: Any, path: str, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping):
        part = list(part.items())
    if isinstance(part, list | tuple):
        for place, item in enumerate(part):
            named = isinstance(item, tuple) and len(item) >= 2 and isinstance(item[0], str)
            label = item[0] if named else f"{name}[{place}]"
            yield from _walk(item[1] if named else item, f"{path}.{label}".lstrip("."), seen)
    else:
        yield from _walk(part, f"{path}.{name}".lstrip("."), seen)


def _fitted_first(item: tuple[str, Any]) -> bool:
    """Order attributes so that `transformers_`, which is fitted, is walked before `transformers`."""
    return not item[0].endswith("_")
