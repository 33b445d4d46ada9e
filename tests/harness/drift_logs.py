"""Monitors on logs of people whose age drifts: what a monitor process does, without a process."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.windows import Watched
from driftgate.monitoring.drift.budget import FalseAlarmBudget, Receiver
from driftgate.monitoring.drift.plan import DriftPlan
from driftgate.monitoring.drift.status import VersionFigure
from driftgate.monitoring.reference.profile import encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.observed import Observed

from harness.records import SlotLog, turn, version

MODEL, VERSION = "fraud", 3
WINDOW_US = 10_000_000
ROWS = 150
REFERENCE_ROWS = 20_000


def people_profile(seed: int = 1) -> bytes:
    """A reference of ages and incomes as `drifting_log` writes them, evenly from 0 to 99."""
    ages = np.random.default_rng(seed).integers(0, 100, REFERENCE_ROWS).astype(np.float32)
    columns = [Observed("age", "input", ages), Observed("income", "input", ages * 1000)]
    sample = ReferenceSample()
    sample.update(columns, row_priorities(0, REFERENCE_ROWS))
    return encode_profile(sample.get("training"))


def first_window() -> int:
    """The start of a window that is still to come."""
    return (time.time_ns() // 1000 // WINDOW_US + 2) * WINDOW_US


def ages(rng: np.random.Generator, drifts: bool) -> list[int]:
    """Ages of one window; where they drift, nobody is younger than 60."""
    found: list[int] = rng.integers(60 if drifts else 0, 100, ROWS).tolist()
    return found


def write_windows(logs: list[SlotLog], first_us: int, windows: Iterable[list[int]]) -> None:
    """Write windows of ages, each dealt out to all logs, and a record after the last, so that it ends."""
    at_us = first_us
    for each in windows:
        for place, log in enumerate(logs):
            _at(log, at_us + 1000, each[place :: len(logs)])
        at_us += WINDOW_US
    for log in logs:
        _at(log, at_us, [50])


def _at(log: SlotLog, at_us: int, numbers: list[int]) -> None:
    log.writer._last_us = max(at_us, log.writer._last_us)
    log.write(turn(version(MODEL, VERSION), numbers))


@dataclass
class DriftMonitor:
    """One life of a monitor; `plan` may be changed while it runs."""

    root: Path
    plan: DriftPlan = field(default_factory=lambda: DriftPlan(notifies=True))
    profile: bytes = field(default_factory=people_profile)
    problems: list[str] = field(default_factory=list)
    archive_every_s: float = 0.0

    def __post_init__(self) -> None:
        self.db = MonitorDb(self.root / "monitor.db")
        watched = Watched(
            find_profile=lambda model, version: self.profile,
            window_us=WINDOW_US,
            plan_of=lambda model, version: self.plan,
            receivers=lambda: {"ops": Receiver("ops", frozenset({MODEL}), FalseAlarmBudget())},
        )
        self.follower = Follower(
            lambda: {int(path.name): path / "log" for path in (self.root / "slots").iterdir()},
            self.db,
            Archiver(self.root / "archive", self.db, Ages(), self.problems.append),
            FollowerSettings(archive_every_s=self.archive_every_s, watched=watched),
            self.problems.append,
        )

    def step(self, now_us: int) -> None:
        """Read all that there is."""
        while self.follower.step(now_us):
            pass

    def figure(self) -> VersionFigure:
        """What is told of the version."""
        (figure,) = self.follower.windows.drift_status(0).versions
        return figure

    def states(self) -> Mapping[str, bytes]:
        """The states of all detectors of drift, to the last bit."""
        found = self.follower.windows.drift.states(0, all_of_them=True)
        return {name: data for name, data in found.items() if name != "drift/position"}

    def kill(self) -> None:
        """Go without a word: what is not in the book is lost."""
        self.db.close()


def all_states(monitor: DriftMonitor) -> Any:
    """States and figures of a monitor, to be compared with another's."""
    return monitor.states(), monitor.figure()
