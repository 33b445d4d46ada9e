"""Probation: a version is first loaded in a child process that may die, hang or eat memory in our place.

This is the parent's side. It imports no onnxruntime.
"""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from driftgate.models.errors import LoadError
from driftgate.models.schema.signature import Signature

CHILD = "driftgate.models.run.probation_child"
NO_ANSWER = "the process that was to load it gave no answer"


@dataclass(frozen=True)
class ProbationLimits:
    """What the child may take: memory beyond its own start, CPU time, and time by the clock."""

    memory_bytes: int = 8 * 2**30
    cpu_s: float = 60.0
    wall_s: float = 60.0
    threads: int = 1


class ProbationReport(msgspec.Struct, frozen=True, omit_defaults=True, tag="report"):
    """How a version did. `reason` says why it failed, for people.

    `latency_s` is the best time of one call by number of rows, `rss_bytes` by how much loading and running it
    made the process's private memory grow, `golden_difference` the largest difference to the golden outputs.
    """

    ok: bool
    reason: str = ""
    load_s: float = 0.0
    latency_s: dict[int, float] = {}
    rss_bytes: int = 0
    golden_difference: float = 0.0


class BareFacts(msgspec.Struct, frozen=True, tag="facts"):
    """What a model file tells of itself."""

    signature: Signature
    independent_rows: bool


def run_probation(directory: Path, limits: ProbationLimits) -> ProbationReport:
    """Load and run the version in a cache directory in a child process; blocks for up to `limits.wall_s`."""
    answer = _ask_child([str(directory)], limits)
    return answer if isinstance(answer, ProbationReport) else _failed(NO_ANSWER)


def examine_bare(directory: Path, limits: ProbationLimits) -> BareFacts:
    """Let a child process read what the `model.onnx` in `directory` tells; raise LoadError if it cannot."""
    answer = _ask_child(["--describe", str(directory)], limits)
    if isinstance(answer, BareFacts):
        return answer
    raise LoadError(answer.reason)


def _failed(reason: str) -> ProbationReport:
    return ProbationReport(ok=False, reason=reason)


def _ask_child(arguments: list[str], limits: ProbationLimits) -> ProbationReport | BareFacts:
    """Run the child and return its answer, or why it gave none."""
    try:
        child = _start_child(arguments, limits)
    except OSError as error:
        return _failed(f"no process could be started to load it: {error.strerror}")
    try:
        answer, _ = child.communicate(timeout=limits.wall_s)
    except subprocess.TimeoutExpired:
        return _failed(f"loading and running it took longer than {limits.wall_s:g} s")
    finally:
        _end(child)
    if child.returncode < 0:
        return _failed(_death(-child.returncode, limits))
    try:
        return msgspec.json.decode(answer, type=ProbationReport | BareFacts)
    except msgspec.MsgspecError:
        return _failed(NO_ANSWER)


def _start_child(arguments: list[str], limits: ProbationLimits) -> subprocess.Popen[bytes]:
    given = [str(os.getpid()), str(limits.memory_bytes), str(limits.cpu_s), str(limits.threads)]
    return subprocess.Popen(
        # -P: nothing in the current directory may stand in for a module of ours.
        [sys.executable, "-P", "-m", CHILD, *given, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's whole process group, unless it has ended, and wait for it."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stdout:
        child.stdout.close()


def _death(number: int, limits: ProbationLimits) -> str:
    if number == signal.SIGXCPU:
        return f"loading and running it used more than {limits.cpu_s:g} s of CPU time"
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        return "the process that loaded it was killed, most likely because the machine ran out of memory"
    return f"it crashed the process that loaded it ({name})"
