"""What is done to a graph before it is published."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from driftgate.models.convert.graph import prepare_graph, relative_to_model, rename_inputs
from driftgate.models.errors import ConversionError
from driftgate.models.run.runtime import Session

from harness.models import OPSET, linear_model

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ((X[:, 0] > 0).astype(int) + 5, (5, 6)),
        (np.where(X[:, 0] > 0.5, "yes", np.where(X[:, 1] > 0, "no", "?")), ("?", "no", "yes")),
    ],
)
def test_zipmap_becomes_a_tensor(labels: np.ndarray, classes: tuple[object, ...]) -> None:
    """A classic classifier's maps become [rows, classes] under the same name, and its classes are kept."""
    estimator = LogisticRegression().fit(X, labels)
    prepared = prepare_graph(to_onnx(estimator, X[:1]).SerializeToString())
    session = Session(prepared.model)
    assert prepared.classes == classes
    assert session.signature.outputs[1].name == "output_probability"
    assert session.signature.outputs[1].shape == (-1, len(classes))
    label, probabilities = session.run({"X": X})
    np.testing.assert_allclose(probabilities, estimator.predict_proba(X), atol=1e-5)
    assert label.tolist() == estimator.predict(X).tolist()


def test_a_plain_graph_is_left_as_it_is() -> None:
    """Without maps not one byte changes."""
    data = linear_model(1.0).SerializeToString()
    assert prepare_graph(data).model == data


def _returning(value: onnx.ValueInfoProto, node: onnx.NodeProto) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    graph = helper.make_graph([node], "g", [x], [value])
    return bytes(helper.make_model(graph, opset_imports=OPSET, ir_version=8).SerializeToString())


@pytest.mark.parametrize(("kind", "operator"), [("sequence", "SequenceConstruct"), ("optional", "Optional")])
def test_what_is_no_tensor_is_refused(kind: str, operator: str) -> None:
    """An output that cannot be flattened is refused by its name and kind."""
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 4])
    make = helper.make_sequence_type_proto if kind == "sequence" else helper.make_optional_type_proto
    value = helper.make_value_info("out", make(tensor))
    with pytest.raises(ConversionError, match=f"output 'out' is a {kind}"):
        prepare_graph(_returning(value, helper.make_node(operator, ["x"], ["out"])))


def test_what_is_no_graph_is_refused() -> None:
    """A file that is something else says so without the parser's own words."""
    with pytest.raises(ConversionError, match="not an ONNX model"):
        prepare_graph(b"<html>ZipMap</html>")


def test_external_files_are_listed(tmp_path: Path) -> None:
    """Weights beside the model are found wherever the graph keeps them."""
    path = tmp_path / "m.onnx"
    onnx.save_model(linear_model(2.0), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert prepare_graph(path.read_bytes()).external_files == ("w.bin",)


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/passwd", "a/../../w.bin", "", "absent.bin", "link.bin", "dir/w.bin"]
)
def test_weights_outside_the_model_are_refused(tmp_path: Path, location: str) -> None:
    """A place that leaves the directory, is absent or goes through a link is never opened."""
    (tmp_path / "w.bin").write_bytes(b"w")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.bin").symlink_to(tmp_path / "w.bin")
    (inside / "dir").symlink_to(tmp_path)
    with pytest.raises(ConversionError):
        relative_to_model(location, inside)


def test_inputs_are_renamed_everywhere() -> None:
    """A renamed input is still what the nodes read."""
    model = linear_model(1.0)
    rename_inputs(model, ["sepal length"])
    session = Session(model.SerializeToString())
    assert session.signature.inputs[0].name == "sepal length"
    assert session.run({"sepal length": np.ones((1, 4), np.float32)})[0].tolist() == [[4.0]]
