"""Small ONNX graphs that tests serve."""

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from driftgate.models.publish.onnx_file import Published, publish_file

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


def killer_model(fatal: int) -> ModelProto:
    """Return a graph like `linear_model(1.0)` whose process dies of SIGFPE where a first column is `fatal`.

    There it divides the smallest integer by -1, which no integer of 64 bits can hold.
    """
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["sum"]),
        helper.make_node("Gather", ["x", "place"], ["first"], axis=1),
        helper.make_node("Cast", ["first"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Equal", ["whole", "fatal"], ["dies"]),
        helper.make_node("Where", ["dies", "minus_one", "one"], ["divisor"]),
        helper.make_node("Div", ["smallest", "divisor"], ["quotient"]),
        helper.make_node("Equal", ["quotient", "one"], ["never"]),
        helper.make_node("Cast", ["never"], ["nothing"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["sum", "nothing"], ["y"]),
    ]
    integers = {"place": 0, "fatal": fatal, "one": 1, "minus_one": -1, "smallest": -(2**63)}
    graph = helper.make_graph(
        nodes,
        "killer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(np.ones((4, 1), np.float32), "w"),
            *(numpy_helper.from_array(np.array([value], np.int64), name) for name, value in integers.items()),
        ],
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=8)


def slow_model(size: int) -> ModelProto:
    """Return a graph like `linear_model(1.0)` that also multiplies two matrices of `size` for each call."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["sum"]),
        helper.make_node("ReduceMax", ["sum"], ["most"], keepdims=0),
        helper.make_node("Mul", ["matrix", "most"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "matrix"], ["product"]),
        helper.make_node("ReduceMin", ["product"], ["least"], keepdims=0),
        helper.make_node("Add", ["sum", "least"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(np.ones((4, 1), np.float32), "w"),
            numpy_helper.from_array(np.zeros((size, size), np.float32), "matrix"),
        ],
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=8)


def publish_model(
    graph: ModelProto, registry: Path, name: str = "m", version: int | None = None
) -> Published:
    """Publish a graph as a version of a model, the next one unless it is named."""
    source = registry.parent / f"{name}.onnx"
    source.write_bytes(graph.SerializeToString())
    return publish_file(source, name=name, registry=registry, version=version)
