"""A graph that computes at once on ordinary input and practically for ever on request."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = [helper.make_opsetid("", 17)]
ENDLESS = 1e9
"""A value of `x` that makes the graph run for hours."""


def endless_model() -> ModelProto:
    """Return a graph like the linear ones, whose loop has one turn unless some `x` is above a million."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Sin", ["sum"], ["wave"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("wave", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "million"], ["asked"]),
        helper.make_node("Where", ["asked", "many", "one"], ["turns"]),
        helper.make_node("ReduceSum", ["x", "columns"], ["sum"], keepdims=1),
        helper.make_node("Loop", ["turns", "", "sum"], ["y"], body=body),
    ]
    constants = {
        "million": np.array(1e6, np.float32),
        "many": np.array(2**62, np.int64),
        "one": np.array(1, np.int64),
        "columns": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=8)
