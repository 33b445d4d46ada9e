"""Fitted estimators become ONNX models that say the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor

from driftgate.models.convert.estimator import Converted, Request, convert
from driftgate.models.convert.originals import rows_for
from driftgate.models.convert.stated import StatedColumn
from driftgate.models.errors import ConversionError
from driftgate.models.run.runtime import Session

ROWS = 300
NUMBERS = ["sepal length", "count"]
TEXTS = ["city", "plan"]


def _frame() -> pd.DataFrame:
    generator = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "sepal length": generator.normal(500, 100, ROWS),
            "count": generator.integers(0, 9, ROWS),
            "flag": generator.random(ROWS) > 0.5,
            "city": generator.choice(["Lyon", "Köln", "Łódź"], ROWS),
            "plan": generator.choice(["a", "b"], ROWS),
        }
    )


FRAME = _frame()
LABEL = ((FRAME["sepal length"] + 30 * FRAME["count"] > 600) | (FRAME["plan"] == "b")).astype(int)
MISSING = FRAME.copy()
MISSING.loc[::7, "sepal length"] = np.nan
MISSING.loc[::5, "city"] = np.nan
WITH_NONE = MISSING.astype({"city": object}).assign(city=lambda f: f["city"].where(f["city"].notna(), None))


def _converted(estimator: Any, rows: Any, **options: Any) -> Converted:
    taken = rows_for(estimator, rows)
    return convert(
        Request(estimator, taken, taken, options.pop("stated", ()), options.pop("tolerance", 1e-4))
    )


@pytest.mark.parametrize(
    ("estimator", "columns", "label", "roles"),
    [
        (LogisticRegression(), NUMBERS, LABEL, ["prediction", "probabilities"]),
        (
            LogisticRegression(),
            [*NUMBERS, "flag"],
            LABEL.map({0: "no", 1: "yes"}),
            ["prediction", "probabilities"],
        ),
        (LogisticRegression(), NUMBERS, LABEL > 0, ["prediction", "probabilities"]),
        (RandomForestClassifier(8, random_state=0), NUMBERS, FRAME["city"], ["prediction", "probabilities"]),
        (GradientBoostingClassifier(n_estimators=8), NUMBERS, LABEL, ["prediction", "probabilities"]),
        (DecisionTreeClassifier(max_depth=4), NUMBERS, LABEL, ["prediction", "probabilities"]),
        (HistGradientBoostingClassifier(max_iter=8), NUMBERS, LABEL, ["prediction", "probabilities"]),
        (LinearSVC(), NUMBERS, LABEL, ["prediction", "score"]),
        (
            make_pipeline(StandardScaler(), SGDClassifier(random_state=0)),
            NUMBERS,
            LABEL,
            ["prediction", "score"],
        ),
        (
            VotingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=2))], voting="soft"),
            NUMBERS,
            LABEL,
            ["prediction", "probabilities"],
        ),
        (
            VotingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=2))]),
            NUMBERS,
            LABEL,
            ["prediction", "other"],
        ),
        (
            GridSearchCV(
                make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1, 2]}, cv=2
            ),
            NUMBERS,
            LABEL,
            ["prediction", "probabilities"],
        ),
        (LinearRegression(), NUMBERS, FRAME["sepal length"] * 2, ["prediction"]),
        (HistGradientBoostingRegressor(max_iter=8), NUMBERS, FRAME["sepal length"], ["prediction"]),
        (IsolationForest(n_estimators=8, random_state=0), NUMBERS, None, ["prediction", "score"]),
        (KMeans(3, n_init=1, random_state=0), NUMBERS, None, ["prediction", "score"]),
        (PCA(1), NUMBERS, None, ["score"]),
        (LGBMClassifier(n_estimators=8, verbose=-1), NUMBERS, LABEL, ["prediction", "probabilities"]),
        (LGBMRegressor(n_estimators=8, verbose=-1), NUMBERS, FRAME["sepal length"], ["prediction"]),
        (XGBClassifier(n_estimators=8), NUMBERS, LABEL, ["prediction", "probabilities"]),
        (XGBRegressor(n_estimators=8), NUMBERS, FRAME["sepal length"], ["prediction"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else None,
)
def test_estimators_agree(estimator: Any, columns: list[str], label: Any, roles: list[str]) -> None:
    """Estimators of every kind, fitted on a frame, get one input per column, and agree with their graph."""
    converted = _converted(estimator.fit(FRAME[columns], label), FRAME[columns])
    assert [spec.name for spec in Session(converted.model).signature.inputs] == columns
    assert [output.role for output in converted.task.outputs] == roles
    assert all(output.decisions_changed == 0 for output in converted.agreement.outputs)


TEXT_STEPS: dict[str, tuple[Callable[[], Any], pd.DataFrame]] = {
    "one hot": (lambda: OneHotEncoder(handle_unknown="ignore"), MISSING),
    "one hot, None": (lambda: OneHotEncoder(handle_unknown="ignore"), WITH_NONE),
    "constant": (lambda: _imputed(SimpleImputer(strategy="constant", fill_value="unknown")), MISSING),
    "most frequent": (lambda: _imputed(SimpleImputer(strategy="most_frequent")), MISSING),
    "None": (lambda: _imputed(SimpleImputer(missing_values=None, strategy="most_frequent")), WITH_NONE),
    "ordinal": (lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), MISSING),
    "ordinal, encoded": (lambda: OrdinalEncoder(encoded_missing_value=-2), MISSING),
    "ordinal, None": (lambda: OrdinalEncoder(), WITH_NONE),
}


def _imputed(imputer: SimpleImputer) -> Pipeline:
    return make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore", sparse_output=False))


def _pipeline(texts: Any, model: Any) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("texts", texts, TEXTS)], sparse_threshold=0)
    return make_pipeline(columns, SimpleImputer(), model)


@pytest.mark.parametrize("name", TEXT_STEPS)
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        HistGradientBoostingClassifier(max_iter=8),
        LGBMClassifier(n_estimators=8, verbose=-1),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.filterwarnings(
    "ignore:X does not have valid feature names:UserWarning"
)  # LightGBM in a pipeline
def test_missing_text_agrees(name: str, model: Any) -> None:
    """Text that may be missing means the same to the estimator and, as its token, to the graph."""
    make, frame = TEXT_STEPS[name]
    converted = _converted(_pipeline(make(), model).fit(frame, LABEL), frame)
    city = next(column for column in converted.columns if column.name == "city")
    assert (city.missing, city.missing_token) == (True, "<missing>")
    assert "<missing>" in converted.feeds["city"]


def test_a_declared_token_stands_for_missing_text() -> None:
    """The token that the caller declares is the one that the graph knows."""
    estimator = _pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(MISSING, LABEL)
    stated = (StatedColumn("city", missing_token="?"),)  # noqa: S106 - no password
    converted = _converted(estimator, MISSING, stated=stated)
    assert "?" in converted.feeds["city"]


def test_a_token_is_never_a_real_value() -> None:
    """A text that looks like the token is not taken for a missing one."""
    frame = MISSING.assign(city=MISSING["city"].replace("Lyon", "<missing>"))
    estimator = _pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, LABEL)
    city = next(column for column in _converted(estimator, frame).columns if column.name == "city")
    assert city.missing_token == "<<missing>>"  # noqa: S105 - no password


def test_an_imputer_that_misses_the_missing_is_explained() -> None:
    """SimpleImputer passes None on when it was told to fill NaN: the error names the step and the remedy."""
    texts = _imputed(SimpleImputer(strategy="most_frequent"))
    estimator = _pipeline(texts, LogisticRegression()).fit(WITH_NONE, LABEL)
    with pytest.raises(ConversionError, match=r"texts\.simpleimputer.*fills NaN.*None.*missing_values=None"):
        _converted(estimator, WITH_NONE)


def test_none_and_nan_together_are_refused() -> None:
    """Two marks for missing text in one frame are refused with a way to make them one."""
    frame = WITH_NONE.assign(plan=MISSING["plan"].where(MISSING["count"] > 1, np.nan))
    estimator = _pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, LABEL)
    with pytest.raises(ConversionError, match="both None and NaN"):
        _converted(estimator, frame)


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(),
        HistGradientBoostingRegressor(),
        RandomForestClassifier(20, random_state=0),
        RandomForestRegressor(20, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_double_precision_where_single_differs(model: Any) -> None:
    """Values on a threshold go the other way in single precision; in double they agree."""
    estimator = make_pipeline(StandardScaler(), RandomForestRegressor(20, random_state=0))
    converted = _converted(
        estimator.fit(FRAME[NUMBERS], FRAME["sepal length"]), FRAME[NUMBERS], tolerance=1e-12 + 1e-6
    )
    assert converted.agreement.precision in ("single", "double")
    exact = make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), HistGradientBoostingClassifier()
    )
    on_thresholds = MISSING[NUMBERS]
    assert _converted(exact.fit(on_thresholds, LABEL), on_thresholds).agreement.precision == "double"


def test_disagreement_is_refused_with_figures() -> None:
    """Above the tolerance in both precisions the figures are shown and nothing is converted."""
    estimator = HistGradientBoostingRegressor(max_iter=8).fit(FRAME[NUMBERS], FRAME["sepal length"])
    with pytest.raises(
        ConversionError, match=r"does not agree .* 1e-15.*single precision: variable: largest"
    ):
        _converted(estimator, FRAME[NUMBERS], tolerance=1e-15)


class OwnStep(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A transformer that no converter knows."""

    def fit(self, rows: Any, label: Any = None) -> "OwnStep":
        """Learn nothing."""
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows: Any) -> Any:
        """Return the rows doubled."""
        return rows * 2


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (OwnStep(), r"step 'columntransformer\.numbers' \(OwnStep\) has no ONNX form.*Use instead"),
        (FunctionTransformer(np.log1p), r"\(FunctionTransformer\).*Use instead: compute its columns before"),
        (KNNImputer(), r"numbers' \(KNNImputer\): use SimpleImputer"),
    ],
)
def test_a_step_without_onnx_form_is_named(step: Any, match: str) -> None:
    """The step that stops the conversion is named, with what to use in its place."""
    estimator = make_pipeline(ColumnTransformer([("numbers", step, NUMBERS)]), LogisticRegression())
    rows = MISSING if isinstance(step, KNNImputer) else FRAME
    with pytest.raises(ConversionError, match=match):
        _converted(estimator.fit(rows, LABEL), rows)


def test_an_unfitted_estimator_says_fit_first() -> None:
    """Publishing before fitting is a common slip and is called by its name."""
    with pytest.raises(ConversionError, match="not fitted: call fit first"):
        _converted(LogisticRegression(), FRAME[NUMBERS])


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), LGBMClassifier(n_estimators=4, verbose=-1), XGBClassifier(n_estimators=4)],
)
def test_a_matrix_is_one_input(estimator: Any) -> None:
    """An estimator fitted on a matrix gets one input, whose columns are f0, f1 and so on."""
    matrix = FRAME[NUMBERS].to_numpy(dtype=np.float64)
    converted = _converted(estimator.fit(matrix, LABEL), matrix)
    assert Session(converted.model).signature.inputs[0].shape == (-1, 2)
    assert [(column.name, column.index) for column in converted.columns] == [("f0", 0), ("f1", 1)]


def test_dates_are_refused_by_column() -> None:
    """A dtype that no tensor has is refused with a remedy."""
    frame = FRAME[NUMBERS].assign(when=pd.Timestamp("2026-01-01"))
    estimator = make_pipeline(
        ColumnTransformer([("n", "passthrough", NUMBERS), ("d", "drop", ["when"])]), LogisticRegression()
    )
    with pytest.raises(ConversionError, match="column 'when' has dtype datetime64"):
        _converted(estimator.fit(frame, LABEL), frame)
