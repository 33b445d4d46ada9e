"""Processes that the demo starts, and that never outlive it, whenever Ctrl-C comes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

GRACE_S = 30.0
LOG_LINES_SHOWN = 8

Child = subprocess.Popen[str]


@contextmanager
def child(
    words: list[str], log: Path, environment: Mapping[str, str] | None = None, stdout: int | None = None
) -> Iterator[Child]:
    """Run `python -m WORDS` while the block runs; `log` gets what it writes to standard error.

    At the end it is asked to stop, and killed after GRACE_S or at a further Ctrl-C.
    """
    with log.open("a") as output:
        started: list[Child] = []
        try:
            with _held_back_interrupts():
                started.append(_start(words, output, environment or {}, stdout))
            yield started[0]
        finally:
            for process in started:
                _stop(process)


def last_lines(log: Path) -> str:
    """Return the end of a log, for a person who asks why its process stopped."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])


def interrupt_on_termination() -> None:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does, which scripts switch off with `&`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def _start(words: list[str], log: IO[str], environment: Mapping[str, str], stdout: int | None) -> Child:
    return subprocess.Popen(
        # -P: nothing in the current directory may stand in for a module of ours.
        [sys.executable, "-P", "-m", *words],
        # Away from a driftgate.toml that is meant for another gateway.
        cwd=Path(log.name).parent,
        stdin=subprocess.DEVNULL,
        stdout=log if stdout is None else stdout,
        stderr=log,
        env={**os.environ, **environment},
        text=True,
        # A group of its own, so that Ctrl-C reaches the demo alone.
        process_group=0,
    )


def _stop(process: Child) -> None:
    try:
        process.terminate()
        process.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
    finally:
        if process.stdout:
            process.stdout.close()


@contextmanager
def _held_back_interrupts() -> Iterator[None]:
    """Let an interrupt come only after the block, so that a child is never started and then forgotten."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, hold) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt
