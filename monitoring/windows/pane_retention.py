"""Old windows are merged into hours, so that weeks of them stay small.

Whoever calls this holds the connection. Counts add, so an hour has the integers
of its windows; what is lost is when in the hour they were.
"""

import sqlite3
from contextlib import closing, suppress
from typing import Any

from driftgate.monitoring.windows.pane import Pane
from driftgate.monitoring.windows.pane_codec import InvalidPane, decode_pane, encode_pane

HOUR_US = 3_600_000_000
_MARK = "hours_us"
_OF_HOUR = "series = ? AND start_us >= ? AND start_us < ? AND sealed"


def hours_until_us(db: sqlite3.Connection) -> int:
    """Return the time before which every sealed pane is of an hour."""
    found = _first(db, "SELECT value FROM marks WHERE name = ?", _MARK)
    return int(found[0]) if found is not None else 0


def merge_next_hour(db: sqlite3.Connection, before_us: int) -> bool:
    """Merge the oldest panes of one series and hour that began before a time; return False if none is left.

    A pane that cannot be read is left out.
    """
    done_us, end_us = hours_until_us(db), before_us // HOUR_US * HOUR_US
    while True:
        first = _first(
            db, "SELECT min(start_us) FROM panes WHERE start_us >= ? AND start_us < ?", done_us, end_us
        )
        if first is None or first[0] is None:
            _put_mark(db, max(done_us, end_us))
            return False
        hour_us = int(first[0]) // HOUR_US * HOUR_US
        series = _first(
            db,
            "SELECT series FROM panes WHERE start_us >= ? AND start_us < ? AND sealed GROUP BY series"
            " HAVING count(*) > 1 OR min(start_us) > ? LIMIT 1",
            hour_us,
            hour_us + HOUR_US,
            hour_us,
        )
        if series is not None:
            _merge(db, int(series[0]), hour_us)
            return True
        done_us = hour_us + HOUR_US
        _put_mark(db, done_us)


def sum_of_hour(db: sqlite3.Connection, series: int, hour_us: int) -> Pane | None:
    """Return the sum of the sealed panes of a series that began in an hour; None if none can be read."""
    whole: Pane | None = None
    query = f"SELECT data FROM panes WHERE {_OF_HOUR} ORDER BY start_us"  # noqa: S608 - ours
    with closing(db.execute(query, (series, hour_us, hour_us + HOUR_US))) as cursor:
        for (data,) in cursor:
            with suppress(InvalidPane):
                pane = decode_pane(data)
                if whole is None:
                    whole = pane
                else:
                    whole.merge(pane)
    return whole


def _merge(db: sqlite3.Connection, series: int, hour_us: int) -> None:
    whole = sum_of_hour(db, series, hour_us)
    db.execute(f"DELETE FROM panes WHERE {_OF_HOUR}", (series, hour_us, hour_us + HOUR_US))  # noqa: S608 - ours
    if whole is None:
        return
    row = (series, hour_us, whole.rows, encode_pane(whole, sealed=True))
    db.execute("INSERT INTO panes VALUES (?, ?, 1, ?, ?)", row)
    _thin_evidence(db, series, hour_us)


def _thin_evidence(db: sqlite3.Connection, series: int, hour_us: int) -> None:
    """Keep the last evidence of the hour, as that after its pane."""
    key = _first(db, "SELECT model, version, arm, segment, profile FROM series WHERE id = ?", series)
    if key is None:
        return
    where = (
        "model = ? AND version = ? AND arm = ? AND segment = ? AND profile = ?"
        " AND start_us >= ? AND start_us < ?"
    )
    values = (*key, hour_us, hour_us + HOUR_US)
    last = _first(db, f"SELECT max(start_us) FROM evidence WHERE {where}", *values)  # noqa: S608 - ours
    if last is not None and last[0] is not None:
        db.execute(f"DELETE FROM evidence WHERE {where} AND start_us < ?", (*values, last[0]))  # noqa: S608 - ours
        db.execute(f"UPDATE evidence SET start_us = ? WHERE {where}", (hour_us, *values))  # noqa: S608 - ours


def _put_mark(db: sqlite3.Connection, time_us: int) -> None:
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (_MARK, time_us))


def _first(db: sqlite3.Connection, query: str, *values: object) -> tuple[Any, ...] | None:
    with closing(db.execute(query, values)) as cursor:
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found
