"""Missing text: in scikit-learn it is NaN or None, in a tensor of strings only another string, the token.

A copy of the fitted estimator is made to know the token wherever it knew NaN, so that the graph does with the
token what the estimator did with a missing value.
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from skl2onnx.proto import onnx_proto
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OrdinalEncoder

from driftgate.models.convert.steps import steps_of
from driftgate.models.errors import ConversionError
from driftgate.models.run.runtime import Array
from driftgate.models.schema.manifest import Column


def token_of(columns: Sequence[Column]) -> str | None:
    """Return the one missing token of the columns, or None; raise ConversionError if they declare several."""
    tokens = sorted({column.missing_token for column in columns if column.missing_token is not None})
    if len(tokens) > 1:
        raise ConversionError(
            f"columns declare different missing tokens, {tokens[0]!r} and {tokens[1]!r}; use one"
        )
    return tokens[0] if tokens else None


def refuse_other_missing(estimator: Any, kinds: frozenset[str]) -> None:
    """Raise ConversionError where the text that is missing in the data is not what the estimator fills.

    `kinds` are those of `missing_kinds`. SimpleImputer passes None on where it was told to fill NaN.
    """
    if len(kinds) > 1:
        raise ConversionError(
            "the text columns hold both None and NaN for missing values, which a tensor of text cannot tell "
            "apart: make them one before fitting, for example with frame.where(frame.notna(), None)"
        )
    for path, step in steps_of(estimator):
        if (
            not isinstance(step, SimpleImputer)
            or not _fills_text(step)
            or not is_missing(step.missing_values)
        ):
            continue
        fills = "None" if step.missing_values is None else "NaN"
        if kinds and fills not in kinds:
            raise ConversionError(
                f"step {path!r} (SimpleImputer) fills {fills}, and text columns hold {min(kinds)}, which it "
                f"passes on: fit it with missing_values={'np.nan' if fills == 'None' else 'None'}"
            )


def convertible_copy(estimator: Any, token: str | None) -> Any:
    """Return a copy of a fitted estimator, in which missing text is `token`; to convert, not to predict."""
    copy = deepcopy(estimator)
    for path, step in steps_of(copy):
        if getattr(step, "flatten_transform", None) is True:
            step.flatten_transform = False  # only shapes `transform`, and skl2onnx refuses it
        if hasattr(step, "get_booster"):
            step.get_booster().feature_names = None  # the converter wants f0, f1 and so on
        if token is not None:
            _teach_token(path, step, token)
    return copy


def missing_converters(token: str | None) -> dict[type, Any]:
    """Return skl2onnx conversion functions for steps that it converts wrongly where values are missing."""
    return {OrdinalEncoder: partial(_ordinal_encoder, token), SimpleImputer: _simple_imputer}


def missing_shapes() -> dict[type, Any]:
    """Return the shape calculators that go with `missing_converters`."""
    return {
        OrdinalEncoder: get_shape_calculator("SklearnOrdinalEncoder"),
        SimpleImputer: get_shape_calculator("SklearnSimpleImputer"),
    }


def is_missing(value: Any) -> bool:
    """Whether a category or statistic stands for a missing value."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _fills_text(imputer: Any) -> bool:
    return getattr(imputer, "statistics_", np.zeros(0)).dtype.kind in "OUT"


def _teach_token(path: str, step: Any, token: str) -> None:
    if isinstance(step, SimpleImputer) and _fills_text(step):
        if is_missing(step.missing_values):
            step.missing_values = token
        step.statistics_ = np.array([token if is_missing(v) else v for v in step.statistics_], dtype=object)
    categories = getattr(step, "categories_", None)
    if isinstance(categories, list) and not isinstance(step, OrdinalEncoder):
        step.categories_ = [_with_token(path, known, token) for known in categories]


def _with_token(path: str, categories: Array, token: str) -> Array:
    missing = [is_missing(value) for value in categories]
    if categories.dtype.kind not in "OUT" or not any(missing):
        return categories
    if sum(missing) > 1:
        raise ConversionError(
            f"step {path!r} learnt both None and NaN as categories, which tensors of text cannot tell apart: "
            "make them one before fitting, for example with frame.where(frame.notna(), None)"
        )
    return np.array([token if is_missing(v) else v for v in categories], dtype=object)


def _simple_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Convert SimpleImputer; in double precision, which onnxruntime's Imputer lacks, by IsNaN and Where."""
    imputer = operator.raw_operator
    doubles = [isinstance(variable.type, DoubleTensorType) for variable in operator.inputs]
    if not any(doubles) or not is_missing(imputer.missing_values) or imputer.add_indicator:
        get_converter("SklearnSimpleImputer")(scope, operator, container)
        return
    inputs = [variable.full_name for variable in operator.inputs]
    joined, fill, missing = (scope.get_unique_variable_name(name) for name in ("joined", "fill", "missing"))
    container.add_node("Concat", inputs, [joined], axis=1)
    container.add_node("IsNaN", [joined], [missing], op_version=13)
    statistics = [float(value) for value in imputer.statistics_]
    container.add_initializer(fill, onnx_proto.TensorProto.DOUBLE, [1, len(statistics)], statistics)
    container.add_node("Where", [missing, fill, joined], [operator.outputs[0].full_name], op_version=16)


def _ordinal_encoder(token: str | None, scope: Any, operator: Any, container: Any) -> None:
    """Convert OrdinalEncoder on text so that a missing value gets `encoded_missing_value`, NaN by default."""
    encoder = operator.raw_operator
    text = all(isinstance(variable.type, StringTensorType) for variable in operator.inputs)
    if not text or getattr(encoder, "_infrequent_enabled", False):
        get_converter("SklearnOrdinalEncoder")(scope, operator, container)
        return
    joined = scope.get_unique_variable_name("joined")
    container.add_node("Concat", [variable.full_name for variable in operator.inputs], [joined], axis=1)
    codes = [
        _encode_column(scope, container, joined, place, _codes(encoder, categories, token))
        for place, categories in enumerate(encoder.categories_)
    ]
    together = scope.get_unique_variable_name("codes")
    container.add_node("Concat", codes, [together], axis=1)
    floating = np.issubdtype(encoder.dtype, np.floating)
    kind = onnx_proto.TensorProto.FLOAT if floating else onnx_proto.TensorProto.INT64
    container.add_node("Cast", [together], [operator.outputs[0].full_name], to=kind)


def _codes(encoder: Any, categories: Array, token: str | None) -> tuple[list[str], list[float], float]:
    """Return the texts, their codes, and the code of every other text.

    scikit-learn gives NaN the `encoded_missing_value`, and None a code like any category's.
    """
    keys = [str(token) if is_missing(value) else str(value) for value in categories]
    codes = [
        float(encoder.encoded_missing_value) if isinstance(value, float) else float(place)
        for place, value in enumerate(categories)
    ]
    unknown = -1.0 if encoder.unknown_value is None else float(encoder.unknown_value)
    return keys, codes, unknown


def _encode_column(
    scope: Any, container: Any, joined: str, place: int, codes: tuple[list[str], list[float], float]
) -> str:
    names = ("index", "column", "encoded")
    index, column, encoded = (str(scope.get_unique_variable_name(name)) for name in names)
    keys, values, unknown = codes
    container.add_initializer(index, onnx_proto.TensorProto.INT64, [1], [place])
    container.add_node("Gather", [joined, index], [column], axis=1, op_version=13)
    container.add_node(
        "LabelEncoder",
        [column],
        [encoded],
        op_domain="ai.onnx.ml",
        op_version=2,
        keys_strings=keys,
        values_floats=values,
        default_float=unknown,
    )
    return encoded
