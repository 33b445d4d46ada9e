"""A monitor whose book is damaged begins a new one from the logs, and says so."""

import sqlite3
from pathlib import Path

import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.monitor.book import REBUILDS, open_book
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges


def made(root: Path) -> StateLayout:
    """A state directory with a book of some pages, and an archive."""
    layout = StateLayout(root)
    book = MonitorDb(layout.monitor_db)
    totals = {f"name {number}": number for number in range(2000)}
    book.commit(Checkpoint({}, totals=totals, windows=WindowChanges(1)))
    book.close()
    layout.archive.mkdir()
    (layout.archive / "records.parquet").write_bytes(b"x")
    return layout


@pytest.mark.parametrize("damage", ["garbage", "one page", "cut"])
def test_a_damaged_book_is_put_aside_with_its_archive(tmp_path: Path, damage: str) -> None:
    """Nothing is deleted, the new book counts that it was rebuilt, and no record is archived twice."""
    layout = made(tmp_path)
    data = bytearray(layout.monitor_db.read_bytes())
    if damage == "garbage":
        data[:] = b"\x00no database" * (len(data) // 12)
    elif damage == "one page":
        for place in range(4096, len(data), 4096):
            data[place : place + 100] = bytes(100)
    else:
        del data[len(data) // 2 :]
    layout.monitor_db.write_bytes(data)
    book = open_book(layout, Logger("monitor", "json"), 77)
    assert book.totals() == {REBUILDS: 1}
    book.close()
    assert (tmp_path / "monitor.db.damaged-77").read_bytes() == bytes(data)
    assert (tmp_path / "archive.damaged-77" / "records.parquet").exists()


def test_a_sound_book_is_opened_as_it_is(tmp_path: Path) -> None:
    """What was committed is there, and nothing is put aside."""
    layout = made(tmp_path)
    book = open_book(layout, Logger("monitor", "json"), 77)
    assert book.totals()["name 7"] == 7
    book.close()
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_book_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    """A path that is no file is an error for the operator, not damage."""
    layout = StateLayout(tmp_path)
    layout.monitor_db.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        open_book(layout, Logger("monitor", "json"), 77)
