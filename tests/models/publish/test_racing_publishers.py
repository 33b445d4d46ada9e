"""Publishers that race for a number, or are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from onnx import TensorProto, helper

from driftgate.models.publish.onnx_file import Published
from driftgate.models.storage.transfer import verify_version

from harness.models import OPSET, linear_model
from harness.registry_files import visible

Publish = Callable[..., Published]


RACER = """
import sys
from pathlib import Path
from driftgate.models.publish.onnx_file import publish_file
registry, *files = map(Path, sys.argv[1:])
for path in files:
    print(publish_file(path, name="m", registry=registry).version)
"""


def test_two_publishers_never_get_one_number(
    tmp_path: Path, registry_root: Path, model_bytes: Callable[[float], bytes]
) -> None:
    """Racing processes take different numbers, and every version holds what its publisher was told."""
    races = 8
    files = [[tmp_path / f"{who}-{turn}.onnx" for turn in range(races)] for who in range(2)]
    for who, paths in enumerate(files):
        for turn, path in enumerate(paths):
            path.write_bytes(model_bytes(1 + who * races + turn))
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, registry_root, *paths], stdout=subprocess.PIPE, text=True
        )
        for paths in files
    ]
    taken: dict[int, Path] = {}
    for racer, paths in zip(racers, files, strict=True):
        numbers = [int(line) for line in racer.communicate(timeout=60)[0].split()]
        assert racer.returncode == 0
        assert not taken.keys() & set(numbers)
        taken |= dict(zip(numbers, paths, strict=True))
    assert sorted(taken) == list(range(1, 2 * races + 1))
    for number, path in taken.items():
        assert (registry_root / "m" / str(number) / "model.onnx").read_bytes() == path.read_bytes()


def test_two_publishers_of_one_number(tmp_path: Path, publish_version: Publish, registry_root: Path) -> None:
    """Of two that ask for the same number with other content, one is refused."""
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for scale, path in enumerate(paths, start=1):
        path.write_bytes(linear_model(scale).SerializeToString())
    code = RACER.replace("registry=registry)", "registry=registry, version=1)")
    racers = [
        subprocess.Popen([sys.executable, "-c", code, registry_root, path], stderr=subprocess.PIPE, text=True)
        for path in paths
    ]
    errors = [racer.communicate(timeout=60)[1] for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 1]
    assert any("VersionExists" in error for error in errors)
    verify_version(registry_root / "m" / "1")


def test_a_killed_publisher_leaves_nothing_visible(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """kill -9 in the middle leaves a hidden directory, which a later publisher clears away once it is old."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 2_000_000], bytes(32_000_000), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2_000_000])],
        [weights],
    )
    large = tmp_path / "large.onnx"
    large.write_bytes(helper.make_model(graph, opset_imports=OPSET, ir_version=8).SerializeToString())
    publisher = subprocess.Popen([sys.executable, "-c", RACER, registry_root, large])
    deadline = time.monotonic() + 30
    while not list(registry_root.glob("m/.tmp-*/model.onnx")) and time.monotonic() < deadline:
        time.sleep(0.001)
    publisher.send_signal(signal.SIGKILL)
    publisher.wait(timeout=30)
    (left,) = registry_root.glob("m/.tmp-*")
    assert visible(registry_root / "m") <= {"model.toml"}

    assert publish_version("m").version == 1
    assert left.exists()
    os.utime(left, (0, 0))
    publish_version("m", scale=2.0)
    assert not left.exists()
