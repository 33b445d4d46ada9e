"""The tables of `monitor.db` that say how far the logs are read, and how many records that were.

Whoever calls this holds the connection.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing

import msgspec

from driftgate.monitoring.book.fold import CountKey
from driftgate.monitoring.log.reader import BootKey, Position

SCHEMA = """
CREATE TABLE positions (
    reader TEXT, slot INTEGER, boot TEXT, position TEXT, PRIMARY KEY (reader, slot, boot)
) WITHOUT ROWID;
CREATE TABLE counts (
    model TEXT, version INTEGER, arm TEXT, code INTEGER, pane_us INTEGER, records INTEGER,
    PRIMARY KEY (model, version, arm, code, pane_us)
) WITHOUT ROWID;
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
"""
_READER = "archive"


def positions(db: sqlite3.Connection) -> dict[BootKey, Position]:
    """Return how far each boot's records have been archived and counted."""
    query = "SELECT slot, boot, position FROM positions WHERE reader = ?"
    with closing(db.execute(query, (_READER,))) as cursor:
        return {
            (int(slot), str(boot)): msgspec.json.decode(str(position), type=Position)
            for slot, boot, position in cursor
        }


def put_positions(db: sqlite3.Connection, found: Mapping[BootKey, Position]) -> None:
    """Write positions in the place of all earlier ones."""
    rows = [
        (_READER, slot, boot, msgspec.json.encode(position).decode())
        for (slot, boot), position in found.items()
    ]
    db.execute("DELETE FROM positions WHERE reader = ?", (_READER,))
    db.executemany("INSERT INTO positions VALUES (?, ?, ?, ?)", rows)


def counts(db: sqlite3.Connection) -> dict[CountKey, int]:
    """Return all counts of records."""
    query = "SELECT model, version, arm, code, pane_us, records FROM counts"
    with closing(db.execute(query)) as cursor:
        return {CountKey(*row[:-1]): int(row[-1]) for row in cursor}


def totals(db: sqlite3.Connection) -> dict[str, int]:
    """Return all totals."""
    with closing(db.execute("SELECT name, value FROM totals")) as cursor:
        return {str(name): int(value) for name, value in cursor}


def add_counts(db: sqlite3.Connection, more: Mapping[CountKey, int], more_totals: Mapping[str, int]) -> None:
    """Add to counts and totals."""
    db.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET records = records + excluded.records",
        [(*key, count) for key, count in more.items()],
    )
    db.executemany(
        "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        list(more_totals.items()),
    )
