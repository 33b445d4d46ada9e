"""The tables of `monitor.db` that name the files of the archive. Whoever calls this holds the connection."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import astuple, fields

from driftgate.monitoring.archive.files import ArchiveFile

SCHEMA = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, model TEXT, version INTEGER, day TEXT, level INTEGER, rows INTEGER,
    size_bytes INTEGER, first_us INTEGER, last_us INTEGER, slim INTEGER
) WITHOUT ROWID;
CREATE TABLE leaving (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_COLUMNS = ", ".join(item.name for item in fields(ArchiveFile))


def archive_files(db: sqlite3.Connection) -> list[ArchiveFile]:
    """Return the files of the archive, the oldest first."""
    query = f"SELECT {_COLUMNS} FROM files ORDER BY first_us, path"  # noqa: S608 - our names
    with closing(db.execute(query)) as cursor:
        return [ArchiveFile(*(*row[:-1], bool(row[-1]))) for row in cursor]


def leaving_paths(db: sqlite3.Connection) -> list[str]:
    """Return the paths of files that have been replaced and may still be there."""
    with closing(db.execute("SELECT path FROM leaving")) as cursor:
        return [str(path) for (path,) in cursor]


def put_files(db: sqlite3.Connection, files: Iterable[ArchiveFile]) -> None:
    """Add files."""
    db.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [astuple(file) for file in files]
    )


def replace_files(db: sqlite3.Connection, old: Iterable[ArchiveFile], new: Iterable[ArchiveFile]) -> None:
    """Put new files in the place of old ones, which are `leaving` from now on."""
    paths = [(file.path,) for file in old]
    db.executemany("DELETE FROM files WHERE path = ?", paths)
    db.executemany("INSERT INTO leaving VALUES (?)", paths)
    put_files(db, new)
