"""The tables of `monitor.db` that hold windows and references. Whoever calls this holds the connection.

`panes` is the book: committed with the reader's offsets, and what a monitor goes on with. `live` is a view of
the panes that have changed since, for those who look; no monitor ever reads it.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from driftgate.monitoring.book.drift_tables import put_evidence
from driftgate.monitoring.book.hour_tables import add_late_hour
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.profile import InvalidProfile, decode_profile
from driftgate.monitoring.windows.pane import Pane, PaneKey
from driftgate.monitoring.windows.pane_codec import decode_pane, encode_pane

SCHEMA = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY, model TEXT, version INTEGER, arm TEXT, segment TEXT, profile TEXT,
    UNIQUE (model, version, arm, segment, profile)
);
CREATE TABLE panes (series INTEGER, start_us INTEGER, sealed INTEGER, rows INTEGER, data BLOB,
    PRIMARY KEY (series, start_us));
CREATE INDEX panes_by_time ON panes (start_us);
CREATE TABLE live (series INTEGER, start_us INTEGER, sealed INTEGER, rows INTEGER, data BLOB,
    PRIMARY KEY (series, start_us));
CREATE TABLE detectors (name TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE profiles (id TEXT PRIMARY KEY, data BLOB);
CREATE TABLE reference_times (
    model TEXT, version INTEGER, from_us INTEGER, profile TEXT, PRIMARY KEY (model, version, from_us)
) WITHOUT ROWID;
"""
_SERIES = "model = ? AND version = ? AND arm = ? AND segment = ? AND profile = ?"
_PUT = (
    "INSERT INTO {table} VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed, "
    "rows = excluded.rows, data = excluded.data"
)


@dataclass(frozen=True)
class WindowChanges:
    """What has become of the windows since the last checkpoint; everything before `sealed_us` is sealed."""

    sealed_us: int
    sealed: Mapping[PaneKey, Pane] = field(default_factory=dict)
    open: Mapping[PaneKey, Pane] = field(default_factory=dict)
    late: Mapping[PaneKey, int] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    detectors: Mapping[str, bytes] = field(default_factory=dict)
    evidence: Mapping[PaneKey, bytes] = field(default_factory=dict)


class StoredPane(NamedTuple):
    """A pane as it was last written."""

    key: PaneKey
    sealed: bool
    pane: Pane


def put_changes(db: sqlite3.Connection, changes: WindowChanges) -> None:
    """Write changes into the book; the view then has nothing to add to it."""
    put_references(db, changes.references)
    put_panes(db, "panes", changes.open, sealed=False)
    put_panes(db, "panes", changes.sealed, sealed=True)
    _add_late(db, changes.late)
    db.executemany("INSERT OR REPLACE INTO detectors VALUES (?, ?)", list(changes.detectors.items()))
    put_evidence(db, changes.evidence)
    db.execute("DELETE FROM live")
    db.execute("INSERT OR REPLACE INTO marks VALUES ('sealed_us', ?)", (changes.sealed_us,))


def detectors(db: sqlite3.Connection) -> dict[str, bytes]:
    """Return the saved states of detectors, by name."""
    return {str(name): bytes(data) for name, data in _rows(db, "SELECT name, data FROM detectors")}


def sealed_until_us(db: sqlite3.Connection) -> int:
    """Return the time before which every pane of the book is sealed."""
    return next((int(value) for (value,) in _rows(db, "SELECT value FROM marks WHERE name = 'sealed_us'")), 0)


def put_panes(db: sqlite3.Connection, table: str, panes: Mapping[PaneKey, Pane], sealed: bool) -> None:
    """Write panes into `panes` or `live`, in place of what is there of them."""
    rows = [
        (_series(db, key), key.start_us, int(sealed), pane.rows, encode_pane(pane, sealed))
        for key, pane in panes.items()
    ]
    db.executemany(_PUT.format(table=table), rows)


def _add_late(db: sqlite3.Connection, late: Mapping[PaneKey, int]) -> None:
    """Count rows as late in panes that are sealed; those whose pane is gone are not counted."""
    for key, count in late.items():
        series = _series(db, key)
        found = _rows(
            db, "SELECT data, sealed FROM panes WHERE series = ? AND start_us = ?", (series, key.start_us)
        )
        for data, sealed in found:
            pane = decode_pane(data)
            pane.late_rows += count
            put_panes(db, "panes", {key: pane}, bool(sealed))
            add_late_hour(db, series, key.start_us)


def open_panes(db: sqlite3.Connection) -> list[tuple[PaneKey, Pane]]:
    """Return the panes that are not sealed in the book."""
    return [
        (one.key, one.pane) for one in _stored(db, "SELECT {columns} FROM panes {join} WHERE sealed = 0", ())
    ]


def put_references(db: sqlite3.Connection, references: Iterable[Reference]) -> None:
    """Write references; one of the same version and time is replaced."""
    for one in references:
        db.execute("INSERT OR IGNORE INTO profiles VALUES (?, ?)", (one.id, zlib.compress(one.data)))
        values = (one.model, one.version, one.from_us, one.id)
        db.execute("INSERT OR REPLACE INTO reference_times VALUES (?, ?, ?, ?)", values)


def first_panes(db: sqlite3.Connection) -> dict[tuple[str, int], int]:
    """Return when the first pane of each version began, in Unix microseconds."""
    query = (
        "SELECT model, version, min(start_us) FROM panes JOIN series ON series = id GROUP BY model, version"
    )
    return {(str(model), int(version)): int(first) for model, version, first in _rows(db, query)}


def references(db: sqlite3.Connection, model: str | None = None) -> list[Reference]:
    """Return all references, or those of one model, the earliest of each version first."""
    rows = _rows(
        db,
        "SELECT model, version, from_us, id, data FROM reference_times JOIN profiles ON profile = id"
        " WHERE model = coalesce(?, model) ORDER BY model, version, from_us",
        (model,),
    )
    found = []
    for model, version, from_us, name, packed in rows:
        data = _unpacked(packed)
        found.append(Reference(model, version, from_us, name, decode_profile(data), data))
    return found


def _unpacked(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise InvalidProfile(f"a stored profile cannot be read: {error}") from error


def panes_between(
    db: sqlite3.Connection, model: str, first_us: int, end_us: int, accept: Callable[[PaneKey], bool]
) -> list[StoredPane]:
    """Return the accepted panes of a model that begin in [first_us, end_us), by start, as they are now."""
    found: dict[PaneKey, StoredPane] = {}
    for table in ("panes", "live"):
        query = (
            f"SELECT {{columns}} FROM {table} AS panes {{join}}"  # noqa: S608 - our own names
            " WHERE model = ? AND start_us >= ? AND start_us < ?"
        )
        for one in _stored(db, query, (model, first_us, end_us), accept):
            found[one.key] = one
    return sorted(found.values(), key=lambda one: one.key[::-1])


def first_pane_us(db: sqlite3.Connection, model: str) -> int | None:
    """Return when the first window of a model began, in Unix microseconds; None if it has none."""
    found = [
        _rows(
            db,
            f"SELECT min((SELECT min(start_us) FROM {table} WHERE series = id)) FROM series WHERE model = ?",  # noqa: S608
            (model,),
        )[0][0]
        for table in ("panes", "live")
    ]
    return min((int(one) for one in found if one is not None), default=None)


def last_panes(db: sqlite3.Connection, segment: str) -> dict[tuple[str, int, str], tuple[int, int]]:
    """Return (start in Unix microseconds, rows) of the newest pane of each model's version and arm."""
    found: dict[tuple[str, int, str], tuple[int, int]] = {}
    for table in ("panes", "live"):
        query = (
            f"SELECT model, version, arm, start_us, rows FROM series JOIN {table} AS one ON series = id"  # noqa: S608 - ours
            f" AND start_us = (SELECT max(start_us) FROM {table} WHERE series = id) WHERE segment = ?"
        )
        for model, version, arm, start_us, rows in _rows(db, query, (segment,)):
            key = (str(model), int(version), str(arm))
            found[key] = max(found.get(key, (0, 0)), (int(start_us), int(rows)))
    return found


def forget_panes(db: sqlite3.Connection, before_us: int) -> None:
    """Delete panes that began before a time, and series and profiles that nothing names any more."""
    db.execute("DELETE FROM panes WHERE start_us < ? AND sealed", (before_us,))
    db.execute(
        "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM panes WHERE series = id)"
        " AND NOT EXISTS (SELECT 1 FROM live WHERE series = id)"
    )


def _series(db: sqlite3.Connection, key: PaneKey) -> int:
    found = _rows(db, f"SELECT id FROM series WHERE {_SERIES}", key[:5])  # noqa: S608 - our own names
    if found:
        return int(found[0][0])
    columns = "model, version, arm, segment, profile"
    with closing(db.execute(f"INSERT INTO series ({columns}) VALUES (?, ?, ?, ?, ?)", key[:5])) as cursor:  # noqa: S608
        return int(cursor.lastrowid or 0)


def _stored(
    db: sqlite3.Connection,
    query: str,
    values: tuple[object, ...],
    accept: Callable[[PaneKey], bool] = lambda key: True,
) -> Iterable[StoredPane]:
    columns = "model, version, arm, segment, profile, start_us, sealed, data"
    for *key_parts, sealed, data in _rows(
        db, query.format(columns=columns, join="JOIN series ON series = id"), values
    ):
        key = PaneKey(*key_parts)
        if accept(key):
            yield StoredPane(key, bool(sealed), decode_pane(data))


def _rows(db: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    with closing(db.execute(query, values)) as cursor:
        return cursor.fetchall()
