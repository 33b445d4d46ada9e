"""What must be true before a version is in memory."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper

from driftgate.models.errors import LoadError, ModelError, UnsafeFile
from driftgate.models.run.examples import load_examples, save_examples
from driftgate.models.run.loaded import LoadedVersion
from driftgate.models.schema.manifest import Golden, Manifest

Rewrite = Callable[..., Manifest]


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


def test_every_refusal_is_a_model_error(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A manifest that cannot be read is an error of this room, as all refusals are."""
    rewrite_manifest(directory)
    (directory / "manifest.json").write_bytes(b"{")
    with pytest.raises(ModelError):
        LoadedVersion.load(directory, threads=1)
