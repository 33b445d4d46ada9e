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


def mixed_model() -> ModelProto:
    """Return a graph with an input and an output of each kind: floats, integers, booleans and strings."""
    kinds = {
        "number": (TensorProto.FLOAT, 2),
        "count": (TensorProto.INT64, 1),
        "flag": (TensorProto.BOOL, 1),
        "text": (TensorProto.STRING, 1),
    }
    results = {"doubled": "number", "next": "count", "same_flag": "flag", "same_text": "text"}
    nodes = [
        helper.make_node("Add", ["number", "number"], ["doubled"]),
        helper.make_node("Add", ["count", "one"], ["next"]),
        helper.make_node("Identity", ["flag"], ["same_flag"]),
        helper.make_node("Identity", ["text"], ["same_text"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info(name, kind, [None, width]) for name, (kind, width) in kinds.items()],
        [
            helper.make_tensor_value_info(name, kinds[source][0], [None, kinds[source][1]])
            for name, source in results.items()
        ],
        [numpy_helper.from_array(np.array([1], np.int64), "one")],
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=8)
