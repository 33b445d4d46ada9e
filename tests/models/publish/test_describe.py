"""Golden rows: given or made up, checked, and run alone and in company."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from driftgate.models.errors import (
    InvalidInput,
)
from driftgate.models.publish.describe import UNTYPED_KEYS, Description
from driftgate.models.publish.onnx_file import GraphFiles, Target, publish_file, publish_graph
from driftgate.models.run.examples import load_examples
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.stated_binding import stated_binding

from harness.models import OPSET, linear_model, mixed_model


def test_made_up_rows_cover_every_kind_of_input(tmp_path: Path, registry_root: Path) -> None:
    """Without examples, rows are made from the signature: numbers, integers, booleans and text."""
    (tmp_path / "m.onnx").write_bytes(mixed_model().SerializeToString())
    published = publish_file(tmp_path / "m.onnx", name="m", registry=registry_root)
    inputs, outputs = load_examples(published.directory / "examples.npz")
    assert {name: array.dtype.kind for name, array in inputs.items()} == {
        "number": "f",
        "count": "i",
        "flag": "b",
        "text": "O",
    }
    np.testing.assert_array_equal(outputs["same_text"], inputs["text"])
    assert published.manifest.independent_rows


def _graph(node: onnx.NodeProto, rows: int | None) -> bytes:
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 4])],
    )
    return bytes(helper.make_model(graph, opset_imports=OPSET, ir_version=8).SerializeToString())


@pytest.mark.parametrize(
    ("model", "independent"),
    [
        (_graph(helper.make_node("Softmax", ["x"], ["y"], axis=1), None), True),
        (_graph(helper.make_node("Softmax", ["x"], ["y"], axis=0), None), False),
        (_graph(helper.make_node("Softmax", ["x"], ["y"], axis=1), 2), False),
    ],
    ids=["per row", "over the batch", "fixed batch"],
)
def test_row_independence_is_measured(
    tmp_path: Path, registry_root: Path, model: bytes, independent: bool
) -> None:
    """Rows may share a batch only if each alone gets the answer that it gets in company."""
    (tmp_path / "m.onnx").write_bytes(model)
    published = publish_file(tmp_path / "m.onnx", name="m", registry=registry_root)
    assert published.manifest.independent_rows is independent


@pytest.mark.parametrize(
    ("examples", "match"),
    [
        ({"z": np.zeros((2, 4), np.float32)}, "'z' is no input"),
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((2, 5), np.float32)}, r"shape \[2, 5\]"),
        ({"x": np.array([["a"] * 4])}, "'x' is <U1"),
        ({"x": np.zeros((0, 4), np.float32)}, "no rows"),
    ],
)
def test_examples_that_do_not_fit(
    tmp_path: Path, registry_root: Path, examples: dict[str, np.ndarray], match: str
) -> None:
    """Examples are checked against the signature, and the input is named."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    with pytest.raises(InvalidInput, match=match):
        publish_file(tmp_path / "m.onnx", name="m", registry=registry_root, examples=examples)


@pytest.mark.parametrize(("keys", "told"), [({}, True), ({"user": {"type": "int64"}}, False)])
def test_a_key_whose_type_nobody_stated_is_told(
    registry_root: Path, keys: dict[str, object], told: bool
) -> None:
    """Before any view is declared a key is a string; who meant another type hears of it at once."""
    bound = {"view": "users", "keys": {"user": "user"}, "features": ["a"]}
    known = Description(
        columns=tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("abcd")),
        binding=stated_binding({"views": [bound], "keys": keys}),
    )
    graph = GraphFiles(linear_model(1.0).SerializeToString())
    published = publish_graph(graph, Target("m", registry_root), known)
    assert (UNTYPED_KEYS.format(names="user") in published.manifest.warnings) is told
