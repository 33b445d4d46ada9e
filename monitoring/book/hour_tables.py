"""Windows summed by the hour, beside those of minutes, so that a week of them is read in a moment.

`hours` is a view for those who look: no monitor goes on from it, and it has nothing to add to an hour whose
minutes are merged. Whoever calls this holds the connection.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from driftgate.monitoring.windows.pane import CountedPane, PaneKey
from driftgate.monitoring.windows.pane_codec import decode_counts, encode_pane
from driftgate.monitoring.windows.pane_retention import HOUR_US, hours_until_us, sum_of_hour

SCHEMA = """
CREATE TABLE hours (series INTEGER, start_us INTEGER, sealed INTEGER, rows INTEGER, data BLOB,
    PRIMARY KEY (series, start_us));
CREATE INDEX hours_by_time ON hours (start_us);
"""
_MARK = "summed_us"


def sum_next_hour(db: sqlite3.Connection, before_us: int) -> bool:
    """Sum the sealed panes of one series and hour that ended before a time; return False if none is left."""
    end_us = before_us // HOUR_US * HOUR_US
    done_us = max(_summed_until_us(db), hours_until_us(db))
    while True:
        query = "SELECT min(start_us) FROM panes WHERE start_us >= ? AND start_us < ?"
        first_us = _rows(db, query, (done_us, end_us))[0][0]
        if first_us is None:
            if end_us > done_us:
                _put_mark(db, end_us)
            return False
        hour_us = int(first_us) // HOUR_US * HOUR_US
        series = _unsummed(db, hour_us)
        if series is not None:
            _sum(db, series, hour_us)
            return True
        done_us = hour_us + HOUR_US
        _put_mark(db, done_us)


def counts_between(
    db: sqlite3.Connection,
    model: str,
    times: Sequence[int],
    accept: Callable[[PaneKey], bool],
    by_hours: bool = False,
) -> list[tuple[PaneKey, CountedPane]]:
    """Return the accepted panes of a model that begin in [first, last) of some times, by start.

    `by_hours`: what lies between two neighbours of `times` may come summed by the hour. `accept` is asked
    about series, whose keys have a start of 0.
    """
    query = "SELECT id, model, version, arm, segment, profile, 0 FROM series WHERE model = ?"
    series = {row[0]: PaneKey(*row[1:]) for row in _rows(db, query, (model,))}
    accepted = {name: key for name, key in series.items() if accept(key)}
    summed = (hours_until_us(db), _summed_until_us(db)) if by_hours else (0, 0)
    found: dict[PaneKey, bytes] = {}
    for table, first_us, end_us in stretches(times, summed):
        query = (
            f"SELECT start_us, data FROM {table}"  # noqa: S608 - our own names
            " WHERE series = ? AND start_us >= ? AND start_us < ? AND length(data)"
        )
        for name, key in accepted.items():
            for start_us, data in _rows(db, query, (name, first_us, end_us)):
                found[key._replace(start_us=start_us)] = data
    ordered = sorted(found, key=lambda key: key.start_us)
    return [(key, decode_counts(found[key])) for key in ordered]


def stretches(times: Sequence[int], summed: tuple[int, int]) -> Iterator[tuple[str, int, int]]:
    """Yield which table has what of the time between the first and the last of `times`; later ones go first.

    Hours of [from, until) are summed. One that holds a time is read by its minutes. Pure.
    """
    at_us, end_us = min(times), max(times)
    split = {time_us // HOUR_US * HOUR_US for time_us in times if time_us % HOUR_US}
    first_us = -(-max(at_us, summed[0]) // HOUR_US) * HOUR_US
    last_us = min(end_us, summed[1]) // HOUR_US * HOUR_US
    for hour_us in [*sorted(one for one in split if first_us <= one < last_us), last_us]:
        if first_us < hour_us:
            yield from _minutes(at_us, first_us)
            yield "hours", first_us, hour_us
            at_us = hour_us
        first_us = hour_us + HOUR_US
    yield from _minutes(at_us, end_us)


def add_late_hour(db: sqlite3.Connection, series: int, start_us: int) -> None:
    """Sum an hour again in which a window was told of late rows, if it has been summed."""
    hour_us = start_us // HOUR_US * HOUR_US
    if _rows(db, "SELECT 1 FROM hours WHERE series = ? AND start_us = ?", (series, hour_us)):
        _sum(db, series, hour_us)


def forget_hours(db: sqlite3.Connection, before_us: int) -> None:
    """Delete sums of hours that began before a time."""
    db.execute("DELETE FROM hours WHERE start_us < ?", (before_us,))


def _minutes(first_us: int, end_us: int) -> Iterator[tuple[str, int, int]]:
    if first_us < end_us:
        yield "panes", first_us, end_us
        yield "live", first_us, end_us


def _unsummed(db: sqlite3.Connection, hour_us: int) -> int | None:
    found = _rows(
        db,
        "SELECT series FROM panes WHERE start_us >= ? AND start_us < ? AND sealed AND NOT EXISTS"
        " (SELECT 1 FROM hours WHERE hours.series = panes.series AND hours.start_us = ?) LIMIT 1",
        (hour_us, hour_us + HOUR_US, hour_us),
    )
    return int(found[0][0]) if found else None


def _sum(db: sqlite3.Connection, series: int, hour_us: int) -> None:
    pane = sum_of_hour(db, series, hour_us)
    rows, data = (pane.rows, encode_pane(pane, sealed=True)) if pane is not None else (0, b"")
    db.execute("INSERT OR REPLACE INTO hours VALUES (?, ?, 1, ?, ?)", (series, hour_us, rows, data))


def _summed_until_us(db: sqlite3.Connection) -> int:
    found = _rows(db, "SELECT value FROM marks WHERE name = ?", (_MARK,))
    return int(found[0][0]) if found else 0


def _put_mark(db: sqlite3.Connection, time_us: int) -> None:
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (_MARK, time_us))
    forget_hours(db, hours_until_us(db))


def _rows(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    with closing(db.execute(query, values)) as cursor:
        return cursor.fetchall()
