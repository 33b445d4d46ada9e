"""Logs of some slots, and the lives of a monitor that counts and archives them."""

from pathlib import Path

import pandas as pd

from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.store import now_us

from harness.records import SlotLog, failure, turn, version


class Monitor:
    """A follower on a directory, as one life of a monitor process."""

    def __init__(self, root: Path, **settings: float) -> None:
        self.problems: list[str] = []
        self.root = root
        self.db = MonitorDb(root / "monitor.db")
        archiver = Archiver(root / "archive", self.db, Ages(), self.problems.append)
        known = {"archive_every_s": 0.0} | settings
        self.follower = Follower(
            lambda: {int(path.name): path / "log" for path in (root / "slots").iterdir()},
            self.db,
            archiver,
            FollowerSettings(**known),  # type: ignore[arg-type]
            self.problems.append,
        )

    def step(self, at_us: int | None = None) -> int:
        """Step at a time, now by default."""
        return self.follower.step(now_us() if at_us is None else at_us)

    def archived(self) -> list[str]:
        """The prediction ids in the archive's files, sorted."""
        return archived(self.root)


def archived(root: Path) -> list[str]:
    """The prediction ids in the archive's files, sorted."""
    frames = [pd.read_parquet(path) for path in (root / "archive").rglob("*.parquet")]
    return sorted(one for frame in frames for one in frame["prediction_id"])


def filled(root: Path, slots: int = 1, records: int = 24) -> None:
    """Write records round robin over slots, one block each, all in one minute, and end the boots."""
    logs = [SlotLog(root, slot, segment_bytes=4000) for slot in range(slots)]
    minute = now_us() // 60_000_000 * 60_000_000
    for number in range(records):
        log = logs[number % slots]
        one = turn(version(), [number], arm="canary" if number % 5 == 0 else "stable")
        log.writer._last_us = minute
        log.write(one if number % 6 else failure(version(), number))
    for log in logs:
        log.writer.close()
