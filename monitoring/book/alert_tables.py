"""The tables of `monitor.db` that hold alerts and silences. Whoever calls this holds the connection."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec

from driftgate.monitoring.alerts.alert import Alert
from driftgate.monitoring.alerts.book import AlertBook, Silence

SCHEMA = """
CREATE TABLE alerts (id TEXT PRIMARY KEY, model TEXT, is_open INTEGER, first_us INTEGER, data BLOB);
CREATE INDEX alerts_by_time ON alerts (first_us);
CREATE TABLE silences (id TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID;
"""
REQUEST = "alert_request"
"""Mark of the last request that was carried out."""


@dataclass(frozen=True)
class AlertChanges:
    """What has become of alerts: those that changed, all silences, the last request that was carried out."""

    alerts: tuple[Alert, ...]
    silences: tuple[Silence, ...]
    request: int


class AlertPage(msgspec.Struct, frozen=True):
    """Alerts, the latest first, and the silences in force."""

    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()


def put_alerts(db: sqlite3.Connection, changes: AlertChanges) -> None:
    """Write what changed."""
    rows = [
        (one.id, one.finding.model, int(one.is_open), one.first_us, msgspec.json.encode(one))
        for one in changes.alerts
    ]
    db.executemany("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?)", rows)
    db.execute("DELETE FROM silences")
    silences = [(one.id, msgspec.json.encode(one)) for one in changes.silences]
    db.executemany("INSERT INTO silences VALUES (?, ?)", silences)
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (REQUEST, changes.request))


def alert_book(db: sqlite3.Connection) -> tuple[AlertBook, int]:
    """Return the open alerts and silences, and the last request that was carried out."""
    alerts = _alerts(_rows(db, "SELECT data FROM alerts WHERE is_open"))
    marks = _rows(db, "SELECT value FROM marks WHERE name = ?", (REQUEST,))
    return AlertBook(alerts, _silences(db)), int(marks[0][0]) if marks else 0


def alert_page(db: sqlite3.Connection, model: str | None, since_us: int, limit: int) -> AlertPage:
    """Return alerts that are open or began since then, of one model if it is given, and its silences."""
    found = _rows(
        db,
        "SELECT data FROM alerts WHERE model = coalesce(?, model) AND (is_open OR first_us >= ?)"
        " ORDER BY is_open DESC, first_us DESC LIMIT ?",
        (model, since_us, limit),
    )
    silences = tuple(one for one in _silences(db) if model in (None, one.model))
    return AlertPage(_alerts(found), silences)


def forget_alerts(db: sqlite3.Connection, before_us: int) -> None:
    """Delete resolved alerts that began before a time."""
    db.execute("DELETE FROM alerts WHERE NOT is_open AND first_us < ?", (before_us,))


def _alerts(rows: Iterable[tuple[Any, ...]]) -> tuple[Alert, ...]:
    return tuple(msgspec.json.decode(data, type=Alert) for (data,) in rows)


def _silences(db: sqlite3.Connection) -> tuple[Silence, ...]:
    rows = _rows(db, "SELECT data FROM silences")
    return tuple(msgspec.json.decode(data, type=Silence) for (data,) in rows)


def _rows(db: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    with closing(db.execute(query, values)) as cursor:
        return cursor.fetchall()
