"""Trees in double precision: thresholds that stay doubles, where skl2onnx rounds them to floats.

A value that equals a threshold, as an imputed median often does, goes down the other branch when one of them
is rounded. onnxruntime compares doubles where an ensemble carries its numbers as tensors (ai.onnx.ml 3).
"""

from functools import partial
from typing import Any

import numpy as np
from onnx import numpy_helper
from skl2onnx._supported_operators import _get_sklearn_operator_name
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_classifier
from skl2onnx.proto import onnx_proto
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

ENSEMBLES = (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
_ROUNDED_BELOW_3 = (ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier)
OPSET_WITH_DOUBLES = 3
_NUMBERS = ("nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values")
_FLAGS = "nodes_missing_value_tracks_true"
_ONNX = onnx_proto.TensorProto
_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")


def tree_converters() -> dict[type, Any]:
    """Return skl2onnx conversion functions for scikit-learn's trees; only double inputs differ."""
    return {kind: partial(_convert_trees, kind) for kind in ENSEMBLES}


def tree_shapes() -> dict[type, Any]:
    """Return the shape calculators that go with `tree_converters`."""
    return {kind: get_shape_calculator(_get_sklearn_operator_name(kind)) for kind in ENSEMBLES}


class _PlainNumbers:
    """A container whose tree ensembles hold plain integers for flags: protobuf is to refuse numpy's booleans.

    Everything else goes to the container that it stands before.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add one node; see the class."""
        if _FLAGS in attributes:
            attributes[_FLAGS] = [int(flag) for flag in attributes[_FLAGS]]
        self._container.add_node(op_type, inputs, outputs, **attributes)


class _DoubleTrees(_PlainNumbers):
    """A container that adds tree ensembles with their numbers as double tensors.

    Their scores come out as floats and are cast to the type that the graph declares.
    """

    def __init__(self, scope: Any, container: Any, scores: Any) -> None:
        super().__init__(container)
        self._scope = scope
        self._cast_to = _ONNX.DOUBLE if isinstance(scores.type, DoubleTensorType) else _ONNX.FLOAT

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add one node; see the class."""
        if op_type not in _TREES:
            super().add_node(op_type, inputs, outputs, **attributes)
            return
        for name in _NUMBERS:
            if name in attributes:
                numbers = np.asarray(attributes.pop(name), dtype=np.float64).ravel()
                attributes[f"{name}_as_tensor"] = numpy_helper.from_array(numbers, name)
        attributes["op_version"] = OPSET_WITH_DOUBLES
        *labels, scores = [outputs] if isinstance(outputs, str) else outputs
        floats = self._scope.get_unique_variable_name("tree_scores")
        super().add_node(op_type, inputs, [*labels, floats], **attributes)
        super().add_node("Cast", [floats], [scores], to=self._cast_to, op_version=13)


def _convert_trees(kind: type, scope: Any, operator: Any, container: Any) -> None:
    registered = get_converter(_get_sklearn_operator_name(kind))
    if not isinstance(operator.inputs[0].type, DoubleTensorType):
        registered(scope, operator, _PlainNumbers(container))
    elif kind in _ROUNDED_BELOW_3:
        trees = _DoubleTrees(scope, container, operator.outputs[-1])
        convert_sklearn_random_forest_classifier(scope, operator, trees, op_version=OPSET_WITH_DOUBLES)
    else:
        registered(scope, operator, _DoubleTrees(scope, container, operator.outputs[-1]))
