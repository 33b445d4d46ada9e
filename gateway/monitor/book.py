"""Opening `monitor.db`: one that is damaged is put aside, and a new one is made from the logs."""

import sqlite3
from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.monitoring.book.damage import DamagedBook
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.reference.profile import InvalidProfile
from driftgate.monitoring.windows.pane_codec import InvalidPane

DAMAGE = (DamagedBook, InvalidPane, InvalidProfile, msgspec.MsgspecError, sqlite3.DatabaseError)
"""What says that a book must be made anew; sqlite3.OperationalError says that it cannot be used now."""
REBUILDS = "rebuilds"
_SIDE_FILES = ("", "-wal", "-shm")


def open_book(layout: StateLayout, logger: Logger, now_s: int) -> MonitorDb:
    """Return the book, open for writing; raise sqlite3.OperationalError where it cannot be written.

    A damaged one is renamed, and so is the archive, in which the records of the logs would be twice.
    """
    if not layout.monitor_db.exists() and layout.archive.exists():
        return begun_anew(layout, logger, now_s, "the archive is there and monitor.db is not")
    try:
        return _opened(layout.monitor_db)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return begun_anew(layout, logger, now_s, str(error))


def begun_anew(layout: StateLayout, logger: Logger, now_s: int, reason: str) -> MonitorDb:
    """Put the book and the archive aside, say so, and return a new book, into which the logs are read."""
    kept = _put_aside(layout, now_s)
    logger.error("monitor_db_damaged", reason=reason, kept=kept, effect="rebuilt from the logs")
    book = MonitorDb(layout.monitor_db)
    book.commit(Checkpoint({}, totals={REBUILDS: 1}))
    return book


def _opened(path: Path) -> MonitorDb:
    book = MonitorDb(path)
    try:
        if book.place.is_small:
            book.check()
    except BaseException:
        book.close()
        raise
    return book


def _put_aside(layout: StateLayout, now_s: int) -> str:
    suffix = f".damaged-{now_s}"
    for side in _SIDE_FILES:
        path = layout.monitor_db.with_name(layout.monitor_db.name + side)
        if path.exists():
            path.rename(path.with_name(path.name + suffix))
    if layout.archive.exists():
        layout.archive.rename(layout.archive.with_name(layout.archive.name + suffix))
    return suffix
