"""Workers that ended badly, and what was running in them: written by the supervisor alone."""

from pathlib import Path

import msgspec

from driftgate.models.storage.durable import write_whole

MOST_CRASHES = 64
OWN_FAULTS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS"})
"""Signals that a process brings upon itself; others may come from the kernel's memory killer or a person."""


class Crash(msgspec.Struct, frozen=True):
    """One worker that ended without being asked to.

    `ending` is the signal or exit code, `running` names the versions that were computing, such as "fraud/7"
    (none: it was idle, or just starting), `generation` is the newest one then, `at` in Unix seconds.
    `hung` says that it was killed because it hung.
    """

    boot: str
    child: str
    ending: str
    running: tuple[str, ...]
    generation: int
    at: float
    hung: bool = False

    @property
    def own_fault(self) -> bool:
        """Whether what ran in it, and nobody from outside, must have ended it."""
        return self.hung or self.ending in OWN_FAULTS


class CrashBook:
    """The file with the latest crashes, for its one writer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, crash: Crash) -> None:
        """Add a crash, dropping the oldest beyond MOST_CRASHES; raise OSError if it cannot be written."""
        latest = (*read_crashes(self._path), crash)[-MOST_CRASHES:]
        write_whole(self._path, msgspec.json.encode(latest))


def read_crashes(path: Path) -> tuple[Crash, ...]:
    """Return what the file says, the oldest first; nothing if it is missing or not readable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Crash, ...])
    except (OSError, msgspec.MsgspecError):
        return ()
