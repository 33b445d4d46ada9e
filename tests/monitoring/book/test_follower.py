"""Following the logs counts and archives each record once, wherever it is stopped."""

import sqlite3
from pathlib import Path

import pytest

from driftgate.monitoring.book import archiver as archiver_module
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.log.store import now_us

from harness.archived_logs import Monitor, filled
from harness.records import SlotLog, reader, turn, version


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
