"""Cost: measured at a few sizes, predicted for all."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from driftgate.models.run.cost import PATIENCE_S, UNKNOWN_COST, CostModel, measure_latency, predicted
from driftgate.models.run.runtime import Session


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        ({1: 2.0, 8: 3.0, 64: 65.0}, CostModel(1.0, 1.0)),
        ({1: 2.0, 64: 1.5}, CostModel(2.0, 0.0)),
        ({4: 2.0}, CostModel(0.0, 0.5)),
        ({}, UNKNOWN_COST),
    ],
)
def test_prediction(latency: Mapping[int, float], expected: CostModel) -> None:
    """The line goes through the smallest and the largest size and never falls."""
    found = predicted(latency)
    assert (found.fixed_s, found.per_row_s) == pytest.approx((expected.fixed_s, expected.per_row_s))


def test_seconds() -> None:
    """A call costs its fixed part and so much for each row."""
    assert CostModel(1.0, 0.5).seconds(4) == 3.0


def session_of(tmp_path: Path, rows: int | None, node: str = "Neg") -> Session:
    """Open a graph of one node with a given number of rows, or any."""
    graph = helper.make_graph(
        [helper.make_node(node, ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return Session(tmp_path / "m.onnx")


@pytest.mark.parametrize(("rows", "sizes"), [(None, [1, 8, 64]), (3, [3])])
def test_sizes(tmp_path: Path, rows: int | None, sizes: list[int]) -> None:
    """A model that takes any number of rows is measured at 1, 8 and 64; one with a fixed batch at that."""
    latency = measure_latency(session_of(tmp_path, rows), {"x": np.ones((3, 2), np.float32)})
    assert list(latency) == sizes
    assert all(0 < seconds < PATIENCE_S for seconds in latency.values())


def test_refused_rows(tmp_path: Path) -> None:
    """Rows that the model refuses leave nothing to predict from."""
    assert measure_latency(session_of(tmp_path, None), {"x": np.ones((3, 7), np.float32)}) == {}
