"""Weights beside the model are a part of the version, or are not found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from driftgate.models.errors import LoadError
from driftgate.models.publish.onnx_file import publish_file
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.run.loaded import LoadedVersion
from driftgate.models.run.runtime import Session
from driftgate.models.schema.manifest import Manifest

Rewrite = Callable[..., Manifest]


@pytest.fixture
def weights_outside(tmp_path: Path) -> Path:
    """An ONNX file that keeps its weights in `weights.bin` beside it."""
    weights = numpy_helper.from_array(np.full((4, 1), 3.0, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "outside" / "model.onnx"
    path.parent.mkdir()
    save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_external_data_that_is_listed(weights_outside: Path, registry_root: Path, tmp_path: Path) -> None:
    """Weights beside the model are part of the version: copied, checked and used."""
    published = publish_file(weights_outside, name="m", registry=registry_root)
    registry, cache = DirectoryRegistry(registry_root), VersionCache(tmp_path / "cache")
    path = cache.add(registry, registry.scan().models["m"].versions[1])
    assert "weights.bin" in {entry.path for entry in published.manifest.files}
    (answer,) = LoadedVersion.load(path, threads=1).run({"x": np.ones((1, 4), np.float32)})
    assert answer.tolist() == [[12.0]]


def test_external_data_that_is_not_listed(
    weights_outside: Path,
    registry_root: Path,
    tmp_path: Path,
    rewrite_manifest: Rewrite,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights that the manifest does not list are not found, in the registry or the current directory."""
    directory = publish_file(weights_outside, name="m", registry=registry_root).directory
    manifest = rewrite_manifest(directory)
    listed = tuple(entry for entry in manifest.files if entry.path != "weights.bin")
    rewrite_manifest(directory, files=listed)
    registry, cache = DirectoryRegistry(registry_root), VersionCache(tmp_path / "cache")
    path = cache.add(registry, registry.scan().models["m"].versions[1])
    monkeypatch.chdir(directory)
    with pytest.raises(LoadError, match="keeps data in a file that is missing"):
        LoadedVersion.load(path, threads=1)
    with pytest.raises(LoadError):
        Session((directory / "model.onnx").read_bytes())


@pytest.mark.parametrize("location", ["../weights.bin", "/tmp/weights.bin"])  # noqa: S108 - refused, not written
def test_external_data_elsewhere(
    weights_outside: Path, directory: Path, rewrite_manifest: Rewrite, location: str
) -> None:
    """A model that points out of its own directory is refused."""
    data = weights_outside.read_bytes()
    (directory / "model.onnx").write_bytes(_with_location(data, location))
    rewrite_manifest(directory)
    with pytest.raises(LoadError):
        LoadedVersion.load(directory, threads=1)


def _with_location(data: bytes, location: str) -> bytes:
    model = helper.make_model(helper.make_graph([], "empty", [], []))
    model.ParseFromString(data)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    return bytes(model.SerializeToString())
