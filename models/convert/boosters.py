"""Tell skl2onnx how LightGBM and XGBoost estimators become ONNX, alone and inside pipelines."""

from importlib import import_module
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from driftgate.models.errors import ConversionError

CLASSIFIER_OPTIONS = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
CONVERTERS = {
    "lightgbm": ("onnxmltools.convert.lightgbm.operator_converters.LightGbm", "convert_lightgbm"),
    "xgboost": ("onnxmltools.convert.xgboost.operator_converters.XGBoost", "convert_xgboost"),
}


def library_of(step: Any) -> str | None:
    """Return `lightgbm` or `xgboost` where `step` is an estimator of theirs, else None."""
    library = type(step).__module__.partition(".")[0]
    return library if library in CONVERTERS else None


def register_booster(step: Any) -> None:
    """Register the converter for the class of `step`; again is harmless.

    Raises ConversionError where the boosters extra is not installed, or for a class without the interface of
    scikit-learn.
    """
    kind = type(step)
    library = library_of(step)
    if library is None:
        return
    if kind.__name__.endswith("Classifier"):
        shapes, options = calculate_linear_classifier_output_shapes, CLASSIFIER_OPTIONS
    elif kind.__name__.endswith("Regressor"):
        shapes, options = calculate_linear_regressor_output_shapes, {}
    else:
        raise ConversionError(
            f"{kind.__name__} of {library} has no ONNX form here: train it as a Classifier or Regressor of "
            f"{library} with scikit-learn's interface"
        )
    alias = f"{library}{kind.__name__}"
    update_registered_converter(kind, alias, shapes, _converter(library), options=options)


def _converter(library: str) -> Any:
    module, name = CONVERTERS[library]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"{library} models need onnxmltools: pip install 'driftgate[boosters]'"
        ) from error
