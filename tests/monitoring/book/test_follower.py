"""Following the logs counts and archives each record once, wherever it is stopped."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from driftgate.monitoring.archive.files import DAY_US, Ages
from driftgate.monitoring.archive.parquet import table_of as real_table
from driftgate.monitoring.book import archiver as archiver_module
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.log.reader import ReadBlock
from driftgate.monitoring.log.store import now_us

from harness.records import SlotLog, failure, reader, turn, version


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


def minutes_left_out(monitor: Monitor) -> dict[object, int]:
    counts: dict[object, int] = {}
    for key, count in monitor.db.counts().items():
        counts[key[:4]] = counts.get(key[:4], 0) + count
    return counts


def test_one_worker_and_four_give_the_same_counts(tmp_path: Path) -> None:
    """The same records in one log or in four fold to the same counts."""
    found = []
    for slots in (1, 4):
        root = tmp_path / str(slots)
        filled(root, slots)
        monitor = Monitor(root)
        monitor.step()
        found.append(minutes_left_out(monitor))
        assert monitor.follower.status(now_us()).late_rows == 0
    assert found[0] == found[1]
    assert sum(found[0].values()) == 24


def test_records_are_archived_once_over_many_lives(tmp_path: Path) -> None:
    """A monitor that ends after each step leaves what one that never ends does."""
    log = SlotLog(tmp_path, segment_bytes=3000)
    ids = []
    for number in range(20):
        one = turn(version(), [number])
        ids.append(one.requests[0].prediction_id)
        log.write(one)
        if number % 3 == 0:
            Monitor(tmp_path).step()
    last = Monitor(tmp_path)
    last.step()
    assert last.archived() == ids
    assert sum(last.db.counts().values()) == 20
    assert last.follower.status(now_us()).rows == 20


@pytest.mark.parametrize("place", ["write_table", "commit", "rename"])
def test_a_monitor_killed_at_any_step_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Before the commit nothing has happened; after it the next monitor finishes what was begun."""
    filled(tmp_path)
    first = Monitor(tmp_path)

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if place == "write_table":
            patch.setattr(archiver_module, "write_table", killed)
        elif place == "commit":
            patch.setattr(first.db, "commit", killed)
        else:
            patch.setattr("os.rename", killed)
        with pytest.raises(KeyboardInterrupt):
            first.step()
    second = Monitor(tmp_path)
    second.step()
    assert len(second.archived()) == len(set(second.archived())) == 24
    assert sum(second.db.counts().values()) == 24
    assert not list((tmp_path / "archive").rglob("*.part"))


def test_a_full_disk_leaves_the_records_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the archive cannot be written it is said and tried again; nothing is lost or counted twice."""
    filled(tmp_path)
    monitor = Monitor(tmp_path)

    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archiver_module, "write_table", full)
        monitor.step()
        monitor.step()
    assert monitor.archived() == []
    assert monitor.follower.status(now_us()).archive_failures == 2
    assert "No space left" in monitor.problems[0]
    monitor.step()
    assert len(monitor.archived()) == 24
    assert sum(monitor.db.counts().values()) == 24


def test_a_locked_book_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be committed is written again, and its first files are removed."""
    filled(tmp_path)
    monitor = Monitor(tmp_path)

    def locked(checkpoint: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(monitor.db, "commit", locked)
        monitor.step()
    monitor.step()
    assert len(monitor.archived()) == 24
    assert not list((tmp_path / "archive").rglob("*.part"))


def test_records_that_cannot_be_archived_stop_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd records are counted, said and left out; the others are archived."""
    filled(tmp_path)
    odd = SlotLog(tmp_path, slot=1)
    odd.write(turn(version("odd"), [99]))

    def table_of(reads: Sequence[ReadBlock]) -> Any:
        if reads[0].block.header.model == "odd":
            raise TypeError("no such column")
        return real_table(reads)

    monkeypatch.setattr(archiver_module, "table_of", table_of)
    monitor = Monitor(tmp_path)
    monitor.step()
    assert len(monitor.archived()) == 24
    assert monitor.follower.status(now_us()).unarchived_rows == 1


def test_archived_segments_are_marked_and_let_go(tmp_path: Path) -> None:
    """Segments whose records are in the archive are renamed, and deleted when their days are over."""
    filled(tmp_path)
    monitor = Monitor(tmp_path, local_days=7)
    monitor.step()
    log = tmp_path / "slots" / "0" / "log"
    assert list(log.glob("*.done"))
    assert not list(log.glob("*.seg"))
    monitor.step(now_us() + 6 * DAY_US)
    assert list(log.glob("*.done"))
    monitor.step(now_us() + 8 * DAY_US)
    assert not list(log.iterdir())
    assert len(monitor.archived()) == 24
    after = Monitor(tmp_path)
    assert after.step() == 0
    assert after.follower.status(now_us()).lost_frames == 0


def test_the_open_segment_of_a_live_worker_stays(tmp_path: Path) -> None:
    """What a worker still writes to is never renamed."""
    log = SlotLog(tmp_path)
    log.write(turn(version(), [1]))
    Monitor(tmp_path).step()
    assert [path.suffix for path in log.segments] == [".seg"]
    log.write(turn(version(), [2]))
    monitor = Monitor(tmp_path)
    monitor.step()
    assert len(monitor.archived()) == 2


def test_many_small_files_become_few_then_slim_then_none(tmp_path: Path) -> None:
    """A day ends up in one file, loses its inputs after 30 days and is gone after 120."""
    log = SlotLog(tmp_path)
    monitor = Monitor(tmp_path)
    for number in range(20):
        log.write(turn(version(), [number]))
        monitor.step()
    log.writer.close()
    monitor.step(now_us() + 60_000_000)
    files = list((tmp_path / "archive").rglob("*.parquet"))
    assert len(files) < 20
    monitor.step(now_us() + 2 * DAY_US)
    monitor.step(now_us() + 2 * DAY_US)
    (path,) = (tmp_path / "archive").rglob("*.parquet")
    assert {"age", "label"} <= set(pd.read_parquet(path).columns)
    assert len(monitor.archived()) == 20
    monitor.step(now_us() + 32 * DAY_US)
    (path,) = (tmp_path / "archive").rglob("*.parquet")
    assert "age" not in pd.read_parquet(path).columns
    assert len(monitor.archived()) == 20
    monitor.step(now_us() + 122 * DAY_US)
    assert not list((tmp_path / "archive").rglob("*.parquet"))
    assert monitor.db.files() == []


def test_files_that_somebody_deleted_are_forgotten(tmp_path: Path) -> None:
    """People may delete files of the archive; the monitor goes on without them."""
    filled(tmp_path)
    monitor = Monitor(tmp_path)
    monitor.step()
    for path in (tmp_path / "archive").rglob("*.parquet"):
        path.unlink()
    monitor.step(now_us() + 2 * DAY_US)
    assert monitor.db.files() == []
    assert not monitor.problems


def test_the_status_says_how_far_it_is(tmp_path: Path) -> None:
    """Backlog, lag, rows and rate are stated, and a restart does not make totals fall."""
    log = SlotLog(tmp_path)
    log.write(turn(version(), range(50)))
    monitor = Monitor(tmp_path)
    assert monitor.follower.status(now_us()).rows == 0
    began = now_us()
    monitor.step(began)
    monitor.step(began + 1_000_000)
    status = monitor.follower.status(began + 5_000_000)
    assert (status.rows, status.backlog_bytes, status.archive_files) == (50, 0, 1)
    assert 4.0 < status.lag_s < 6.0
    log.write(turn(version(), range(50, 60)))
    assert monitor.follower.status(now_us()).backlog_bytes > 0
    again = Monitor(tmp_path)
    again.step()
    assert again.follower.status(now_us()).rows == 60


def test_damage_is_said_and_counted(tmp_path: Path) -> None:
    """Damaged and missing frames are in the status and in the log of the monitor."""
    log = SlotLog(tmp_path)
    for number in range(3):
        log.write(turn(version(), [number]))
    data = bytearray(log.segments[0].read_bytes())
    data[len(data) // 2] ^= 0xFF
    log.segments[0].write_bytes(data)
    monitor = Monitor(tmp_path)
    monitor.step()
    status = monitor.follower.status(now_us())
    assert status.damaged_bytes > 0
    assert status.lost_frames == 1
    assert "bytes damaged" in "".join(monitor.problems)


def test_a_finish_reads_the_rest(tmp_path: Path) -> None:
    """At the end what is left is read and archived, without waiting for the next time."""
    filled(tmp_path)
    monitor = Monitor(tmp_path, archive_every_s=3600.0)
    monitor.follower.finish(now_us(), 5.0)
    assert len(monitor.archived()) == 24


def test_a_newer_book_is_refused(tmp_path: Path) -> None:
    """A monitor that is older than its book says so instead of guessing."""
    Monitor(tmp_path).db.close()
    with sqlite3.connect(tmp_path / "monitor.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(NewerFormat, match="Upgrade Driftgate"):
        MonitorDb(tmp_path / "monitor.db")


def test_reading_alone_changes_nothing(tmp_path: Path) -> None:
    """Whoever only reads the logs leaves them as they are."""
    filled(tmp_path)
    before = sorted(path.name for path in (tmp_path / "slots" / "0" / "log").iterdir())
    list(reader(tmp_path).read())
    assert sorted(path.name for path in (tmp_path / "slots" / "0" / "log").iterdir()) == before
