"""The archive has every record once, is thinned out by its age, and is never waited for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from driftgate.monitoring.archive.files import DAY_US
from driftgate.monitoring.archive.parquet import table_of as real_table
from driftgate.monitoring.book import archiver as archiver_module
from driftgate.monitoring.log.reader import ReadBlock
from driftgate.monitoring.log.store import now_us

from harness.archived_logs import Monitor, filled
from harness.records import SlotLog, turn, version


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
