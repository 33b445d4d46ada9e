"""Ways in which a version can arrive damaged, forged or wrong; each changes a good copy of one."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from loadtests import zoo

BOMB_FLOATS = 2**31
HUGE_BYTES = 17 * 2**20


@dataclass(frozen=True)
class Drop:
    """A version directory that is a good copy still, and its number."""

    directory: Path
    version: int

    @property
    def model(self) -> Path:
        """The model file."""
        return self.directory / "model.onnx"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.directory / "manifest.json"

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the manifest's document."""
        document = json.loads(self.manifest.read_bytes())
        change(document)
        self.manifest.write_text(json.dumps(document))

    def forge(self, data: bytes) -> None:
        """Replace the model by other bytes, with the right size and hash in the manifest."""
        self.model.write_bytes(data)
        self.edit(lambda document: _state_truth(document, data))


def make_copy(good: Path, directory: Path, version: int) -> Drop:
    """Copy a good version and give the copy a number."""
    shutil.copytree(good, directory)
    drop = Drop(directory, version)
    drop.edit(lambda document: document.update(version=version))
    return drop


def _state_truth(document: dict[str, Any], data: bytes) -> None:
    for entry in document["files"]:
        if entry["path"] == "model.onnx":
            entry.update(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _truncated(drop: Drop) -> None:
    drop.model.write_bytes(drop.model.read_bytes()[:-20])


def _flipped(drop: Drop) -> None:
    data = bytearray(drop.model.read_bytes())
    data[(drop.version * 7) % len(data)] ^= 1 << drop.version % 8
    drop.model.write_bytes(data)


def _zeroed(drop: Drop) -> None:
    drop.model.write_bytes(bytes(drop.model.stat().st_size))


def _grown(drop: Drop) -> None:
    drop.model.write_bytes(drop.model.read_bytes() + b"\0")


def _emptied(drop: Drop) -> None:
    drop.model.write_bytes(b"")


def _missing(drop: Drop) -> None:
    drop.model.unlink()


def _symlink(drop: Drop) -> None:
    real = drop.model.rename(drop.directory / ".real")
    drop.model.symlink_to(real)


def _another_file(drop: Drop) -> None:
    drop.model.unlink()
    os.link(drop.manifest, drop.model)


def _fifo(drop: Drop) -> None:
    drop.model.unlink()
    os.mkfifo(drop.model)


def _directory(drop: Drop) -> None:
    drop.model.unlink()
    drop.model.mkdir()


def _examples_damaged(drop: Drop) -> None:
    (drop.directory / "examples.npz").write_bytes(b"PK\x03\x04 no archive")


def _html(drop: Drop) -> None:
    drop.forge(b"<!doctype html><title>404 Not Found</title>")


def _pickle(drop: Drop) -> None:
    drop.forge(pickle.dumps({"weights": [1.0, 2.0]}))


def _half_forged(drop: Drop) -> None:
    drop.forge(drop.model.read_bytes()[:-20])


def _manifest_truncated(drop: Drop) -> None:
    drop.manifest.write_bytes(drop.manifest.read_bytes()[:-50])


def _manifest_empty(drop: Drop) -> None:
    drop.manifest.write_bytes(b"")


def _manifest_not_json(drop: Drop) -> None:
    drop.manifest.write_bytes(b"\xff\xfe\x00manifest")


def _manifest_deep(drop: Drop) -> None:
    drop.manifest.write_bytes(b"[" * 1_000_000)


def _manifest_huge(drop: Drop) -> None:
    drop.edit(lambda document: document.update(meta={"note": "x" * HUGE_BYTES}))


def _manifest_newer(drop: Drop) -> None:
    drop.edit(lambda document: document.update(format=99))


def _manifest_of_another(drop: Drop) -> None:
    drop.edit(lambda document: document.update(version=drop.version + 1000))


def _manifest_of_other_model(drop: Drop) -> None:
    drop.edit(lambda document: document.update(name="other"))


def _manifest_wrong_hash(drop: Drop) -> None:
    drop.edit(lambda document: document["files"][0].update(sha256="0" * 64))


def _manifest_climbs(drop: Drop) -> None:
    drop.edit(lambda document: document["files"][0].update(path="../1/examples.npz"))


def _manifest_is_link(drop: Drop) -> None:
    real = drop.manifest.rename(drop.directory / ".real")
    drop.manifest.symlink_to(real)


def _other_signature(drop: Drop) -> None:
    drop.edit(lambda document: document["signature"]["inputs"][0].update(datatype="FP64"))


def _other_outputs(drop: Drop) -> None:
    """A good model, but not the one whose answers were kept at publishing."""
    drop.forge(zoo.signed(drop.version + 1).SerializeToString())


def _unknown_operator(drop: Drop) -> None:
    model = onnx.load(drop.model)
    model.graph.node[0].op_type = "NoSuchOperator"
    drop.forge(model.SerializeToString())


def _external_data(drop: Drop) -> None:
    model = onnx.load(drop.model)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../1/model.onnx")
    drop.forge(model.SerializeToString())


def _memory_bomb(drop: Drop) -> None:
    model = onnx.load(drop.model)
    model.graph.initializer.append(helper.make_tensor("many", TensorProto.INT64, [1], [BOMB_FLOATS]))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["many"], ["bomb"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["bomb"], ["total"], keepdims=0))
    model.graph.node.append(helper.make_node("Add", ["y0", "total"], ["y"]))
    model.graph.node[1].output[0] = "y0"
    drop.forge(model.SerializeToString())


KINDS: dict[str, Callable[[Drop], None]] = {
    "model truncated": _truncated,
    "one bit flipped": _flipped,
    "model zeroed": _zeroed,
    "model grown": _grown,
    "model empty": _emptied,
    "model missing": _missing,
    "model a symbolic link": _symlink,
    "model another file": _another_file,
    "model a FIFO": _fifo,
    "model a directory": _directory,
    "examples damaged": _examples_damaged,
    "HTML as a model": _html,
    "pickle as a model": _pickle,
    "half a model with the right hash": _half_forged,
    "manifest truncated": _manifest_truncated,
    "manifest empty": _manifest_empty,
    "manifest no JSON": _manifest_not_json,
    "manifest nested deeply": _manifest_deep,
    "manifest huge": _manifest_huge,
    "manifest of a newer format": _manifest_newer,
    "manifest of another number": _manifest_of_another,
    "manifest of another model": _manifest_of_other_model,
    "manifest with a wrong hash": _manifest_wrong_hash,
    "manifest climbs out": _manifest_climbs,
    "manifest a symbolic link": _manifest_is_link,
    "another signature": _other_signature,
    "other outputs than published": _other_outputs,
    "unknown operator": _unknown_operator,
    "external data": _external_data,
    "memory bomb": _memory_bomb,
}
