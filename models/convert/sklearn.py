"""Fitted scikit-learn estimators and pipelines to ONNX, by skl2onnx."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from driftgate.models.convert.graph import rename_inputs
from driftgate.models.convert.missing import convertible_copy, missing_converters, missing_shapes, token_of
from driftgate.models.convert.steps import step_at_fault, unconvertible
from driftgate.models.convert.trees import tree_converters, tree_shapes
from driftgate.models.errors import ConversionError
from driftgate.models.schema.manifest import Column

TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}
"""The newest that every converter of skl2onnx knows; trees after ai.onnx.ml 3 are refused by several."""

_TYPES = {
    "FP32": FloatTensorType,
    "FP64": DoubleTensorType,
    "INT64": Int64TensorType,
    "BOOL": BooleanTensorType,
    "BYTES": StringTensorType,
}


def sklearn_to_onnx(estimator: Any, columns: Sequence[Column], frame: pd.DataFrame) -> bytes:
    """Return the estimator as a serialized ONNX model whose inputs are those of `columns`.

    `frame` holds rows as the estimator was fitted on. Raises ConversionError that names the step which has no
    ONNX form, and its alternatives.
    """
    copy = convertible_copy(fitted_core(estimator), token_of(columns))
    whole = _reading_columns(copy, frame) if _one_input_each(columns) else copy
    try:
        proto = _convert(whole, _initial_types(columns), token_of(columns))
    except ConversionError:
        raise
    except Exception as error:  # skl2onnx raises what its converters happen to raise
        path, step = step_at_fault(copy, error.__traceback__)
        raise unconvertible(step, path, _reason(error)) from error
    if _one_input_each(columns):
        rename_inputs(proto, [column.input for column in columns])
    model: bytes = proto.SerializeToString()
    return model


def fitted_core(estimator: Any) -> Any:
    """Return what a search found, or the estimator itself."""
    return getattr(estimator, "best_estimator_", estimator)


def _convert(whole: Any, initial_types: list[tuple[str, Any]], token: str | None) -> Any:
    arguments: dict[str, Any] = {
        "name": "model",
        "initial_types": initial_types,
        "target_opset": TARGET_OPSET,
        "custom_conversion_functions": missing_converters(token) | tree_converters(),
        "custom_shape_calculators": missing_shapes() | tree_shapes(),
    }
    final = whole.steps[-1][1] if isinstance(whole, Pipeline) else whole
    if not is_classifier(final):
        return convert_sklearn(whole, **arguments)
    for options in _classifier_options(final):
        try:
            return convert_sklearn(whole, options={id(final): options} if options else None, **arguments)
        except NameError:  # this classifier has no such option; a ZipMap that stays is flattened later
            continue
    raise ConversionError(f"{type(final).__name__} takes none of the options of a classifier")


def _classifier_options(classifier: Any) -> tuple[dict[str, bool], ...]:
    """Return the options to try: no ZipMap, and raw scores where there are no probabilities."""
    if hasattr(classifier, "predict_proba") or not hasattr(classifier, "decision_function"):
        return {"zipmap": False}, {}
    return {"zipmap": False, "raw_scores": True}, {"raw_scores": True}, {"zipmap": False}, {}


def _reading_columns(estimator: Any, frame: pd.DataFrame) -> Any:
    """Return `estimator` with a first step that joins the inputs, unless its own first picks them."""
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(first, ColumnTransformer):
        return estimator
    names = list(frame.columns)
    reader = ColumnTransformer([("columns", "passthrough", names)], verbose_feature_names_out=False)
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    return Pipeline([("inputs", reader.fit(frame)), *steps])


def _one_input_each(columns: Sequence[Column]) -> bool:
    return all(column.input == column.name for column in columns)


def _initial_types(columns: Sequence[Column]) -> list[tuple[str, Any]]:
    if _one_input_each(columns):
        return [(column.input, _TYPES[column.datatype]([None, 1])) for column in columns]
    return [(columns[0].input, _TYPES[columns[0].datatype]([None, len(columns)]))]


def _reason(error: Exception) -> str:
    if isinstance(error, MissingConverter | MissingShapeCalculator):
        return "skl2onnx does not know it"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
