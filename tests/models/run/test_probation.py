"""Probation: whatever a model does, it does it to a child process, and we get a reason."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from driftgate.models.publish.onnx_file import Published
from driftgate.models.run.probation import ProbationLimits, ProbationReport, run_probation
from driftgate.models.schema.manifest import Manifest

Publish = Callable[..., Published]
Rewrite = Callable[..., Manifest]
Trap = Callable[[ModelProto], Path]

TEN_S = 10.0
LIMITS = ProbationLimits(memory_bytes=2**30, cpu_s=20, wall_s=20)


@pytest.fixture
def directory(publish_version: Publish) -> Path:
    """A version that is what it promises to be."""
    return publish_version("m").directory


@pytest.fixture
def trap(directory: Path, rewrite_manifest: Rewrite) -> Trap:
    """Put another model into that version, in place of the published one."""

    def put(model: ModelProto) -> Path:
        (directory / "model.onnx").write_bytes(model.SerializeToString())
        rewrite_manifest(directory)
        return directory

    return put


def model_of(*nodes: NodeProto) -> ModelProto:
    """Return a graph from `x` to `y` with the published signature."""
    graph = helper.make_graph(
        list(nodes),
        "trap",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constant(name: str, value: int, shape: list[int]) -> NodeProto:
    """Return a node that gives one integer."""
    return helper.make_node(
        "Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, shape, [value])
    )


def memory_bomb() -> ModelProto:
    """Return a small graph that makes a tensor of 32 GiB."""
    return model_of(
        constant("size", 2**33, [1]),
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        constant("axis", 1, [1]),
        helper.make_node("ReduceSum", ["x", "axis"], ["total"], keepdims=1),
        helper.make_node("Add", ["total", "sum"], ["y"]),
    )


def time_bomb() -> ModelProto:
    """Return a small graph that loops for a very long time."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [None, 1]),
        ],
    )
    return model_of(
        constant("times", 2**60, []),
        constant("axis", 1, [1]),
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=1),
        helper.make_node("Loop", ["times", "", "sum"], ["y"], body=body),
    )


def test_good_version(directory: Path) -> None:
    """A good version passes, with its times, its memory and its golden difference."""
    report = run_probation(directory, LIMITS)
    assert (report.ok, report.reason, report.golden_difference) == (True, "", 0.0)
    assert list(report.latency_s) == [1, 8, 64]
    assert 0 < report.load_s < TEN_S
    assert 0 < report.rss_bytes < 50 * 2**20


def test_other_answers(
    directory: Path, rewrite_manifest: Rewrite, model_bytes: Callable[[float], bytes]
) -> None:
    """Other outputs than the golden ones do not pass."""
    (directory / "model.onnx").write_bytes(model_bytes(1.5))
    rewrite_manifest(directory)
    report = run_probation(directory, LIMITS)
    assert not report.ok
    assert "differs from the golden examples" in report.reason


@pytest.mark.parametrize("content", [b"<html>", b"\x80\x04\x95", b"", b"\0" * 64])
def test_not_a_model(directory: Path, rewrite_manifest: Rewrite, content: bytes) -> None:
    """What is no model does not pass, and the reason has no path in it."""
    (directory / "model.onnx").write_bytes(content)
    rewrite_manifest(directory)
    report = run_probation(directory, LIMITS)
    assert not report.ok
    assert report.reason
    assert str(directory.parent) not in report.reason


def test_memory_bomb(trap: Trap) -> None:
    """A graph that takes all memory is stopped at the limit."""
    report = run_probation(trap(memory_bomb()), LIMITS)
    assert not report.ok
    assert "memory" in report.reason


def test_time_by_the_clock(trap: Trap) -> None:
    """A model that does not come back is killed when its time is over."""
    start = time.monotonic()
    report = run_probation(trap(time_bomb()), ProbationLimits(wall_s=1.5))
    assert report == ProbationReport(ok=False, reason="loading and running it took longer than 1.5 s")
    assert time.monotonic() - start < TEN_S


def test_processor_time(trap: Trap) -> None:
    """A model that eats processor time is stopped at the limit."""
    report = run_probation(trap(time_bomb()), ProbationLimits(cpu_s=0.5, wall_s=60))
    assert report.reason == "loading and running it used more than 0.5 s of CPU time"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGSEGV, "crashed the process that loaded it (SIGSEGV)"), (signal.SIGKILL, "ran out of memory")],
)
def test_crash(trap: Trap, number: signal.Signals, reason: str) -> None:
    """A child that dies of a signal is a reason, not a crash of ours."""
    path, reports = trap(time_bomb()), list[ProbationReport]()
    thread = threading.Thread(target=lambda: reports.append(run_probation(path, LIMITS)))
    thread.start()
    child = wait_for(lambda: running_child(os.getpid()))
    os.kill(child, number)
    thread.join(TEN_S)
    assert not reports[0].ok
    assert reason in reports[0].reason


def test_child_dies_with_its_parent(trap: Trap) -> None:
    """A child does not outlive the process that started it."""
    code = (
        "import sys, pathlib\n"
        "from driftgate.models.run.probation import *\n"
        "run_probation(pathlib.Path(sys.argv[1]), ProbationLimits())"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(trap(time_bomb()))]) as parent:
        child = wait_for(lambda: running_child(parent.pid))
        parent.kill()
    wait_for(lambda: not is_running(child))


def running_child(parent: int) -> int:
    """Return the probation child of `parent` that is already at work, or 0."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes()
            limited = "unlimited" not in (path / "limits").read_text().partition("cpu time")[2][:30]
        except OSError:
            continue
        if int(status[1]) == parent and b"probation_child" in command and limited:
            return int(path.name)
    return 0


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], int]) -> int:
    """Return the first true answer, or fail after ten seconds."""
    deadline = time.monotonic() + TEN_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")
