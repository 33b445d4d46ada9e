"""Reads what the monitor keeps, for people: never writes, and waits for nobody for long."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from sqlite3 import Error as SqliteError

import msgspec

from driftgate.gateway.errors import StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.drift.status import DriftStatus
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.reference.profile import InvalidProfile
from driftgate.monitoring.windows.pane_codec import InvalidPane


@contextmanager
def monitor_book(layout: StateLayout) -> Iterator[MonitorDb | None]:
    """Open `monitor.db`, None before there is one; raise StateUnusable where it cannot be read."""
    try:
        db = MonitorDb(layout.monitor_db, read_only=True)
    except FileNotFoundError:
        db = None
    except (SqliteError, NewerFormat) as error:
        raise _unusable() from error
    if db is None:
        yield None
        return
    with closing(db):
        try:
            yield db
        except (SqliteError, InvalidPane, InvalidProfile) as error:
            raise _unusable() from error


def read_drift_status(layout: StateLayout) -> DriftStatus | None:
    """Return what the monitor last said of drift, or None if that is nothing readable."""
    try:
        return msgspec.json.decode(layout.monitor_drift.read_bytes(), type=DriftStatus)
    except (OSError, msgspec.MsgspecError):
        return None


def _unusable() -> StateUnusable:
    return StateUnusable("monitor.db cannot be read: look at the log of the monitor")
