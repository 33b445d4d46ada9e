"""A version in memory: what must be true before it is there, and when it goes."""

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from driftgate.models.errors import LoadError, ModelError, RunError, UnsafeFile
from driftgate.models.publish.onnx_file import Published, publish_file
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.run.examples import load_examples, save_examples
from driftgate.models.run.loaded import LoadedVersion
from driftgate.models.run.runtime import Session
from driftgate.models.schema.manifest import Golden, Manifest

Publish = Callable[..., Published]
Rewrite = Callable[..., Manifest]

FIVE_S = 5.0


@pytest.fixture
def directory(publish_version: Publish) -> Path:
    """A version that answers twice the sum of its four inputs."""
    return publish_version("m", scale=2.0).directory


@pytest.fixture
def loaded(directory: Path) -> LoadedVersion:
    """The same, loaded."""
    return LoadedVersion.load(directory, threads=1)


def test_loads_from_the_cache(registry_root: Path, tmp_path: Path, publish_version: Publish) -> None:
    """A cached version is loaded with all that the manifest says, and answers."""
    published = publish_version("m", scale=2.0)
    registry, cache = DirectoryRegistry(registry_root), VersionCache(tmp_path / "cache")
    path = cache.add(registry, registry.scan().models["m"].versions[1])
    version = LoadedVersion.load(path, threads=1)
    assert (version.model, version.version, version.digest) == ("m", 1, published.digest)
    assert (version.manifest, version.signature) == (published.manifest, published.manifest.signature)
    (answer,) = version.run({"x": np.ones((3, 4), np.float32)})
    assert answer.tolist() == [[8.0], [8.0], [8.0]]


def test_outputs_by_name(loaded: LoadedVersion) -> None:
    """Outputs can be asked for by name; inputs that the graph refuses raise RunError and harm nothing."""
    feeds = {"x": np.ones((1, 4), np.float32)}
    assert loaded.run(feeds, ["y"])[0].tolist() == [[8.0]]
    with pytest.raises(RunError):
        loaded.run({"x": np.ones((1, 5), np.float32)})
    assert loaded.run(feeds)[0].tolist() == [[8.0]]


def test_cost_is_measured(loaded: LoadedVersion) -> None:
    """The predicted time grows with the rows and is that of a small model."""
    assert 0 < loaded.cost.seconds(1) <= loaded.cost.seconds(1000)
    assert loaded.cost.seconds(1) < 0.1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: bytes(len(data)),
        lambda data: b"",
        lambda data: b"<html>",
    ],
)
@pytest.mark.parametrize("name", ["model.onnx", "examples.npz"])
def test_damage_is_found(directory: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    """A listed file that is not the published one is never loaded."""
    (directory / name).write_bytes(damage((directory / name).read_bytes()))
    with pytest.raises(UnsafeFile, match=name):
        LoadedVersion.load(directory, threads=1)


def test_digest_names_the_directory(directory: Path, tmp_path: Path) -> None:
    """A directory that is named by a digest must hold the manifest with that digest."""
    moved = directory.rename(tmp_path / ("a" * 64))
    with pytest.raises(UnsafeFile, match="digest"):
        LoadedVersion.load(moved, threads=1)


def test_missing_directory(tmp_path: Path) -> None:
    """A version that is not in the cache is a LoadError, without a path in its text."""
    with pytest.raises(LoadError) as raised:
        LoadedVersion.load(tmp_path / "gone", threads=1)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"<!doctype html>", b"\x80\x04\x95\x10", b"", b"\0" * 1000, b"PK\x03\x04", os.urandom(500)]
)
def test_not_a_model(directory: Path, rewrite_manifest: Rewrite, content: bytes) -> None:
    """A file that was published as a model and is none is refused, without a path in the text."""
    (directory / "model.onnx").write_bytes(content)
    rewrite_manifest(directory)
    with pytest.raises(LoadError) as raised:
        LoadedVersion.load(directory, threads=1)
    assert str(directory) not in str(raised.value)


def test_unknown_operator(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A graph with an operator that the runtime does not know is refused by its name."""
    graph = helper.make_graph(
        [helper.make_node("Teleport", ["x"], ["y"], domain="nowhere")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("nowhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    rewrite_manifest(directory)
    with pytest.raises(LoadError, match="Teleport"):
        LoadedVersion.load(directory, threads=1)


def test_other_signature(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A model whose signature is not the manifest's is refused, naming both."""
    manifest = rewrite_manifest(directory)
    spec = msgspec.structs.replace(manifest.signature.inputs[0], shape=(-1, 5))
    rewrite_manifest(directory, signature=msgspec.structs.replace(manifest.signature, inputs=(spec,)))
    with pytest.raises(LoadError, match=r"inputs are not the manifest's: 'x' is FP32 \[-1, 4\].*\[-1, 5\]"):
        LoadedVersion.load(directory, threads=1)


def test_more_outputs_than_promised(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A model with another number of outputs than the manifest has is refused."""
    manifest = rewrite_manifest(directory)
    signature = msgspec.structs.replace(manifest.signature, outputs=manifest.signature.outputs * 2)
    rewrite_manifest(directory, signature=signature)
    with pytest.raises(LoadError, match=r"outputs .* number differs"):
        LoadedVersion.load(directory, threads=1)


def test_other_answers(
    directory: Path, rewrite_manifest: Rewrite, model_bytes: Callable[[float], bytes]
) -> None:
    """A model that does not reproduce the golden outputs is refused, naming output and place."""
    (directory / "model.onnx").write_bytes(model_bytes(2.001))
    rewrite_manifest(directory)
    with pytest.raises(LoadError, match=r"output 'y' differs from the golden examples at \[0, 0\]"):
        LoadedVersion.load(directory, threads=1)


def test_tolerance_is_the_manifests(
    directory: Path, rewrite_manifest: Rewrite, model_bytes: Callable[[float], bytes]
) -> None:
    """The manifest says how close is close enough."""
    (directory / "model.onnx").write_bytes(model_bytes(2.001))
    rewrite_manifest(directory, golden=Golden(rows=8, rtol=0.01))
    assert LoadedVersion.load(directory, threads=1).version == 1


def test_promised_examples_must_be_there(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A manifest that promises golden examples and lists none is refused."""
    (directory / "examples.npz").unlink()
    rewrite_manifest(directory)
    with pytest.raises(LoadError, match=r"lists no examples\.npz"):
        LoadedVersion.load(directory, threads=1)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"z": np.ones((2, 4), np.float32)},
        {"x": np.ones((2, 5), np.float32)},
        {"x": np.array([["a"] * 4], object)},
    ],
)
def test_examples_must_fit(directory: Path, rewrite_manifest: Rewrite, inputs: dict[str, object]) -> None:
    """Golden examples that the model cannot take are refused with the reason."""
    _, outputs = load_examples(directory / "examples.npz")
    save_examples(directory / "examples.npz", inputs, outputs)  # type: ignore[arg-type]  # wrong on purpose
    rewrite_manifest(directory)
    with pytest.raises(LoadError, match="golden examples cannot be run"):
        LoadedVersion.load(directory, threads=1)


def test_without_examples(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A version without golden examples is loaded and timed with made-up rows."""
    (directory / "examples.npz").unlink()
    rewrite_manifest(directory, golden=None)
    version = LoadedVersion.load(directory, threads=1)
    assert version.cost.seconds(1) > 0


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


def test_freed_after_the_last_handle(loaded: LoadedVersion) -> None:
    """A retired version gives no new handles and is freed, off this thread, when the last one is back."""
    freed_by: list[str] = []
    freed = threading.Event()

    def on_free() -> None:
        freed_by.append(threading.current_thread().name)
        freed.set()

    loaded.acquire()
    loaded.acquire()
    loaded.retire(on_free)
    loaded.release()
    with pytest.raises(RuntimeError, match="retired"):
        loaded.acquire()
    assert loaded.in_use == 1
    assert loaded.run({"x": np.ones((1, 4), np.float32)})
    assert not freed.is_set()
    loaded.release()
    assert freed.wait(FIVE_S)
    assert freed_by == ["free-session"]
    with pytest.raises(RuntimeError, match="freed"):
        loaded.run({"x": np.ones((1, 4), np.float32)})


def test_freed_at_once_without_handles(loaded: LoadedVersion) -> None:
    """A version that nobody uses is freed as soon as it is retired, and only once."""
    freed = threading.Event()
    session = weakref.ref(loaded._session)
    loaded.retire(freed.set)
    assert freed.wait(FIVE_S)
    gc.collect()
    assert session() is None
    with pytest.raises(RuntimeError, match="already"):
        loaded.retire(freed.set)


def test_release_needs_a_handle(loaded: LoadedVersion) -> None:
    """Releasing what was not acquired is a mistake that is told."""
    with pytest.raises(RuntimeError, match="more often"):
        loaded.release()


def test_every_refusal_is_a_model_error(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A manifest that cannot be read is an error of this room, as all refusals are."""
    rewrite_manifest(directory)
    (directory / "manifest.json").write_bytes(b"{")
    with pytest.raises(ModelError):
        LoadedVersion.load(directory, threads=1)
