"""Small ONNX graphs that tests serve."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = [helper.make_opsetid("", 17)]


def linear_model(scale: float) -> ModelProto:
    """Return a graph with one input `x` of four floats and one output `y`: `scale` times their sum."""
    weights = numpy_helper.from_array(np.full((4, 1), scale, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=8)
