"""The child of a probation: limits itself, loads a version, prints what it found as one line of JSON.

Started as `python -m driftgate.models.run.probation_child PARENT MEMORY CPU THREADS [--describe] DIRECTORY`.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from driftgate.models.errors import ModelError, RunError
from driftgate.models.run.golden import run_golden
from driftgate.models.run.loaded import try_version
from driftgate.models.run.probation import BareFacts, ProbationReport
from driftgate.models.run.runtime import Session
from driftgate.models.run.synthetic import synthetic_rows
from driftgate.models.schema.manifest import MODEL_FILE

_PR_SET_PDEATHSIG = 1
_NICENESS = 10
_THREAD_BYTES = 136 * 2**20
"""Address space that a thread reserves without using it: a stack of 8 MiB, malloc's arena of 128."""


@dataclass(frozen=True)
class Order:
    """What the child was told to do, and within which limits."""

    parent_pid: int
    memory_bytes: int
    cpu_s: float
    threads: int
    directory: Path
    describe: bool = False


def main(arguments: list[str]) -> None:
    """Do what the command line says and print the answer."""
    parent, memory, cpu, threads, *rest = arguments
    order = Order(int(parent), int(memory), float(cpu), int(threads), Path(rest[-1]), "--describe" in rest)
    limit_self(order)
    try:
        answer: msgspec.Struct = _describe(order) if order.describe else _report(order)
    except ModelError as error:
        answer = ProbationReport(ok=False, reason=str(error))
    except MemoryError:
        answer = ProbationReport(ok=False, reason="the model needs more memory than it may have")
    except Exception as error:  # the edge of this process; its parent only reads what it prints
        answer = ProbationReport(ok=False, reason=f"loading it failed unexpectedly ({type(error).__name__})")
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and a session that is torn down late may still crash


def limit_self(order: Order) -> None:
    """Die with the parent; take no more than the order allows beyond what is used now, and after others."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != order.parent_pid:
        os._exit(1)
    spare = _THREAD_BYTES * (order.threads - 1)
    _limit(resource.RLIMIT_AS, _status_bytes("VmSize") + order.memory_bytes + spare)
    _limit(resource.RLIMIT_CPU, int(time.process_time() + order.cpu_s) + 1)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICENESS)


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, hard))


def _report(order: Order) -> ProbationReport:
    before = _private_bytes()
    start = time.perf_counter()
    trial = try_version(order.directory, order.threads)
    return ProbationReport(
        ok=True,
        load_s=time.perf_counter() - start,
        latency_s=dict(trial.latency_s),
        rss_bytes=max(0, _private_bytes() - before),
        golden_difference=trial.golden_difference,
    )


def _describe(order: Order) -> BareFacts:
    session = Session(order.directory / MODEL_FILE, order.threads)
    try:
        independent = run_golden(session, synthetic_rows(session.signature)).independent_rows
    except RunError:
        independent = session.signature.batched
    return BareFacts(session.signature, independent)


def _private_bytes() -> int:
    """Return the memory that this process shares with nobody; the runtime's code is shared by all workers."""
    return _status_bytes("RssAnon")


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main(sys.argv[1:])
