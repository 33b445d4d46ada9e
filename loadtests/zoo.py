"""Models to put under load, as ONNX files: one input `x` of FP32 rows for each of them."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from loadtests.bodies import SIGN

OPSET = [helper.make_opsetid("", 17)]
IR_VERSION = 8
FEATURES = 30
TREES = 100
WIDE = (256, 1024, 1024, 10)
SLOW_TURNS = 8500
HEAVY_LAYERS = 28
HEAVY_WIDTH = 16384
ENDLESS = 1e9
"""A value of `x` that makes the models `blocking` and `sticking` run for hours."""

Array = NDArray[np.generic]


def build(kind: str, version: int, path: Path) -> None:
    """Write a model of the zoo to `path`; raise KeyError for a kind that is not in it."""
    onnx.save(_BUILDERS[kind](version), path)


def signed(version: int) -> ModelProto:
    """Return a model that answers the first column + SIGN for each version number: rows and versions show."""
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["key"]),
        helper.make_node("Add", ["key", "sign"], ["y"]),
    ]
    first = np.array([[1], [0], [0], [0]], np.float32)
    return _model(nodes, 4, 1, {"first": first, "sign": np.array([SIGN * version], np.float32)})


def tiny(version: int) -> ModelProto:
    """Return a logistic regression on 30 features."""
    rows, labels = _training_rows(version)
    return _converted(LogisticRegression().fit(rows, labels), rows)


def trees(version: int) -> ModelProto:
    """Return 100 boosted trees on 30 features."""
    rows, labels = _training_rows(version)
    return _converted(
        GradientBoostingClassifier(n_estimators=TREES, random_state=version).fit(rows, labels), rows
    )


def wide(version: int) -> ModelProto:
    """Return a perceptron with two hidden layers of 1024."""
    random = np.random.default_rng(version)
    constants: dict[str, Array] = {}
    nodes, last = [], "x"
    for layer, (inputs, outputs) in enumerate(pairwise(WIDE)):
        constants[f"w{layer}"] = (random.standard_normal((inputs, outputs)) / inputs**0.5).astype(np.float32)
        constants[f"b{layer}"] = np.zeros(outputs, np.float32)
        is_last = layer == len(WIDE) - 2
        sums, result = f"sums{layer}", "y" if is_last else f"layer{layer}"
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"product{layer}"]))
        nodes.append(helper.make_node("Add", [f"product{layer}", f"b{layer}"], ["y" if is_last else sums]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [sums], [result]))
        last = result
    return _model(nodes, WIDE[0], WIDE[-1], constants)


def slow(version: int) -> ModelProto:
    """Return a model that takes about 5 ms of one core, however few rows."""
    return _looping(SLOW_TURNS)


def ponderous(version: int) -> ModelProto:
    """Return a model that takes about 100 ms of one core, however few rows."""
    return _looping(20 * SLOW_TURNS)


def heavy(version: int) -> ModelProto:
    """Return a model that takes about 1 ms of one core for each row."""
    nodes = [
        helper.make_node("MatMul", ["x", "spread"], ["s0"]),
        *(helper.make_node("Sin", [f"s{layer}"], [f"s{layer + 1}"]) for layer in range(HEAVY_LAYERS)),
        helper.make_node("ReduceMean", [f"s{HEAVY_LAYERS}"], ["y"], axes=[1], keepdims=1),
    ]
    return _model(nodes, 4, 1, {"spread": np.full((4, HEAVY_WIDTH), version, np.float32)})


def blocking(version: int) -> ModelProto:
    """Return a model that is quick, but runs for hours if any `x` is above a million."""
    return _looping(1)


def sticking(version: int) -> ModelProto:
    """Return a model that takes a millisecond, but hours if any `x` is above a million."""
    return _looping(SLOW_TURNS // 5)


def _looping(ordinary_turns: int) -> ModelProto:
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
        helper.make_node("Where", ["asked", "endless", "ordinary"], ["turns"]),
        helper.make_node("ReduceSum", ["x", "columns"], ["sum"], keepdims=1),
        helper.make_node("Loop", ["turns", "", "sum"], ["y"], body=body),
    ]
    constants: dict[str, Array] = {
        "million": np.array(1e6, np.float32),
        "endless": np.array(2**62, np.int64),
        "ordinary": np.array(ordinary_turns, np.int64),
        "columns": np.array([1], np.int64),
    }
    return _model(nodes, 4, 1, constants)


def _model(nodes: list[onnx.NodeProto], width: int, outputs: int, constants: dict[str, Array]) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "zoo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=IR_VERSION)


def _training_rows(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((2000, FEATURES)).astype(np.float32)
    weights = random.standard_normal(FEATURES)
    labels = (rows @ weights + random.standard_normal(len(rows)) > 0).astype(np.int64)
    return rows, labels


def _converted(estimator: object, rows: NDArray[np.float32]) -> ModelProto:
    options = {"zipmap": False}
    model = to_onnx(estimator, rows[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    model.graph.input[0].name, old = "x", model.graph.input[0].name
    for node in model.graph.node:
        node.input[:] = ["x" if name == old else name for name in node.input]
    return model


_BUILDERS: dict[str, Callable[[int], ModelProto]] = {
    "signed": signed,
    "tiny": tiny,
    "trees": trees,
    "wide": wide,
    "slow": slow,
    "ponderous": ponderous,
    "heavy": heavy,
    "blocking": blocking,
    "sticking": sticking,
}
WIDTHS = {"tiny": FEATURES, "trees": FEATURES, "wide": WIDE[0]}


def width_of(kind: str) -> int:
    """Return how many columns the rows of a model have."""
    return WIDTHS.get(kind, 4)
