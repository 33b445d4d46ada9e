"""An ONNX file, and what lies beside it, becomes a version."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from driftgate.models.errors import (
    ConversionError,
    InvalidManifest,
)
from driftgate.models.publish.onnx_file import Published, publish_file
from driftgate.models.run.examples import load_examples
from driftgate.models.schema.manifest import Column
from driftgate.models.storage.transfer import verify_version

from harness.models import linear_model

Publish = Callable[..., Published]


def test_a_refused_model_leaves_nothing(tmp_path: Path, registry_root: Path) -> None:
    """Neither a version nor an empty model directory remains of what could not be opened."""
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ConversionError, match="not an ONNX model"):
        publish_file(tmp_path / "m.onnx", name="m", registry=registry_root)
    assert list(registry_root.iterdir()) == []


def test_external_weights_are_published_too(tmp_path: Path, registry_root: Path) -> None:
    """Weights beside the model are copied, listed and hashed like every file."""
    path = tmp_path / "m.onnx"
    onnx.save_model(linear_model(2.0), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    published = publish_file(path, name="m", registry=registry_root)
    assert "w.bin" in {entry.path for entry in published.manifest.files}
    _, outputs = load_examples(published.directory / "examples.npz")
    verify_version(published.directory)
    assert outputs["y"].shape == (8, 1)


def test_external_weights_elsewhere_are_refused(tmp_path: Path, registry_root: Path) -> None:
    """A model that reads a file outside its directory is refused, and the place is named."""
    model = linear_model(2.0)
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    path.write_bytes(path.read_bytes().replace(b"w.bin", b"/etc/"[:5]))
    with pytest.raises(ConversionError, match="'/etc/', outside its own directory"):
        publish_file(path, name="m", registry=registry_root)


def test_a_bare_file_warns_of_what_is_missing(publish_version: Publish) -> None:
    """Unknown columns, unknown roles and made-up rows are each named, with the option that cures them."""
    warnings = " ".join(publish_version("m").warnings)
    for cure in ("--columns", "--task", "--examples"):
        assert cure in warnings


def test_columns_that_contradict_the_graph_are_refused(tmp_path: Path, registry_root: Path) -> None:
    """A manifest whose parts contradict each other is never written."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    columns = (Column("a", "nothing", "FP32"),)
    with pytest.raises(InvalidManifest, match="'a' belongs to input 'nothing'"):
        publish_file(tmp_path / "m.onnx", name="m", registry=registry_root, columns=columns)


def test_publishing_a_file_is_light() -> None:
    """The server publishes the file that it was given without pandas, scikit-learn or onnx."""
    code = "import sys, driftgate.models.publish.onnx_file; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pandas", "sklearn", "onnx", "skl2onnx", "pyarrow"} & set(loaded.split())
