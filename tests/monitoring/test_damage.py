"""Whatever becomes of logs, disk and book, windows that can be counted are, to the last integer."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.damage import DamagedBook
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.windows import Watched
from driftgate.monitoring.windows.pane import PaneKey

from harness.records import SlotLog, turn, version

RECORDS = 60
SECOND_US = 1_000_000


class Monitor:
    """A follower with windows of a second, as one life of a monitor."""

    def __init__(self, root: Path) -> None:
        self.problems: list[str] = []
        self.db = MonitorDb(root / "monitor.db")
        self.follower = Follower(
            lambda: {int(path.name): path / "log" for path in (root / "slots").iterdir()},
            self.db,
            Archiver(root / "archive", self.db, Ages(), self.problems.append),
            FollowerSettings(0.0, watched=Watched(window_us=SECOND_US)),
            self.problems.append,
        )

    def counts(self) -> dict[PaneKey, Any]:
        """What must be equal to the last integer."""
        panes = self.db.panes("fraud", 0, 2**62)
        return {one.key: (one.pane.rows, one.pane.counts.tolist(), one.pane.pairs.tolist()) for one in panes}


def rows_of(monitor: Monitor, slot: str) -> int:
    """Rows in the windows of an arm that is named as a slot."""
    return sum(rows for key, (rows, *_) in monitor.counts().items() if key.arm == slot)


def filled(root: Path) -> list[SlotLog]:
    """The logs of two slots, each with an arm of its own and three rows in each of some seconds."""
    logs = [SlotLog(root, slot, segment_bytes=6000) for slot in (0, 1)]
    start = max(log.writer._last_us for log in logs) // SECOND_US * SECOND_US + SECOND_US
    for number in range(RECORDS):
        for slot, log in enumerate(logs):
            log.writer._last_us = start + number // 3 * SECOND_US
            log.write(turn(version(), [number], arm=str(slot)))
    return logs


def finished(root: Path) -> Monitor:
    """A monitor that has read everything."""
    monitor = Monitor(root)
    for now_us in range(3):
        monitor.follower.step(now_us)
    return monitor


@pytest.mark.parametrize("share", [0.0, 0.001, 0.013, 0.2, 0.37, 0.5, 0.61, 0.83, 0.999])
def test_a_corrupt_byte_anywhere_costs_no_more_than_its_block(tmp_path: Path, share: float) -> None:
    """What is damaged is told; all other rows are in windows, those of other slots untouched."""
    logs = filled(tmp_path)
    for log in logs:
        log.writer.close()
    segment = logs[0].segments[1]
    data = bytearray(segment.read_bytes())
    data[int(share * (len(data) - 1))] ^= 0x20
    segment.write_bytes(data)
    monitor = finished(tmp_path)
    assert rows_of(monitor, "1") == RECORDS
    assert RECORDS - 1 <= rows_of(monitor, "0") <= RECORDS
    status = monitor.follower.status(0)
    assert status.damaged_bytes or status.lost_frames
    assert "damaged" in " ".join(monitor.problems)


def test_a_segment_that_is_deleted_while_it_is_read_costs_its_records(tmp_path: Path) -> None:
    """The sequence of frames tells what is missing, and windows go on."""
    logs = filled(tmp_path)
    monitor = Monitor(tmp_path)
    found = monitor.follower._reader.read()
    next(found)
    gone = logs[0].segments[1]
    gone.unlink()
    rest = list(found)
    assert len(rest) > RECORDS
    monitor = finished(tmp_path)
    for log in logs:
        log.writer.close()
    for now_us in (3, 4):
        monitor.follower.step(now_us)
    status = monitor.follower.status(0)
    assert status.lost_frames > 0
    assert rows_of(monitor, "1") == RECORDS
    assert 0 < rows_of(monitor, "0") < RECORDS


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("most_bytes", [0, 2000, 40_000])
def test_a_full_disk_loses_nothing(tmp_path: Path, most_bytes: int) -> None:
    """While nothing can be written windows stay in memory, and it is told; later all are in the book."""
    roots = tmp_path / "calm", tmp_path / "full"
    for root in roots:
        root.mkdir()
    logs = filled(roots[1])
    for log in logs:
        log.writer.close()
        copied = roots[0] / log.directory.relative_to(roots[1])
        copied.mkdir(parents=True)
        for segment in log.segments:
            (copied / segment.name).write_bytes(segment.read_bytes())
    monitor = Monitor(roots[1])
    with full_disk(most_bytes):
        for now_us in range(3):
            monitor.follower.step(now_us)
    status = monitor.follower.status(0)
    assert status.archive_failures > 0
    assert status.rows == 2 * RECORDS
    assert any("cannot be written" in problem for problem in monitor.problems)
    monitor.follower.step(3)
    assert monitor.counts() == finished(roots[0]).counts()
    assert monitor.follower.windows.status(0).unsaved_panes == 0


def test_damage_in_the_middle_of_a_book_is_noticed(tmp_path: Path) -> None:
    """Within minutes, though the monitor itself knows all pages: others read what the disk has."""
    filled(tmp_path)
    monitor = finished(tmp_path)
    monitor.db._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(tmp_path / "monitor.db", "r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 50_000)
    monitor.follower.step(11 * SECOND_US)
    with pytest.raises(DamagedBook):
        monitor.follower.step(700 * SECOND_US)


@pytest.mark.parametrize("damage", ["deleted", "replaced", "overwritten", "cut"])
def test_a_book_that_is_gone_is_noticed(tmp_path: Path, damage: str) -> None:
    """SQLite would go on in a file that nobody can open any more, and the windows would be lost with it."""
    filled(tmp_path)
    monitor = finished(tmp_path)
    monitor.db._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "monitor.db"
    if damage in ("deleted", "replaced"):
        path.rename(tmp_path / "gone")
    if damage == "replaced":
        path.write_bytes((tmp_path / "gone").read_bytes())
    elif damage != "deleted":
        with open(path, "r+b") as file:
            file.write(b"\xff" * 5000)
            file.truncate(0 if damage == "cut" else None)
    with pytest.raises(DamagedBook, match=r"monitor\.db was"):
        monitor.follower.step(9)
