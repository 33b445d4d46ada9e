"""What says that `monitor.db` is damaged or gone, so that it must be made anew from the logs."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

_BEGINNING = b"SQLite format 3\0"
CHECKED_BYTES = 256 * 2**20
"""A book that is larger is not looked through, which would take seconds."""


class DamagedBook(Exception):
    """The book holds what nobody wrote, or it is gone."""


class BookPlace:
    """The file that was opened, to see whether it still is where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = path.stat().st_ino

    def check(self) -> None:
        """Raise DamagedBook if the file has been deleted, or another one is in its place, or overwritten.

        SQLite goes on in a file that is gone, and with the pages that it knows.
        """
        name = self._path.name
        try:
            with open(self._path, "rb") as file:
                begins, inode = file.read(len(_BEGINNING)), os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            begins, inode = b"", 0
        if inode != self._inode:
            raise DamagedBook(f"{name} was deleted or replaced while it was in use")
        if begins != _BEGINNING:
            raise DamagedBook(f"{name} was overwritten while it was in use")

    @property
    def is_small(self) -> bool:
        """Whether it may be looked through while others wait."""
        return self._path.stat().st_size <= CHECKED_BYTES

    def look_through(self) -> None:
        """Look through what others read from the disk; raise sqlite3.DatabaseError if that is damaged.

        The connection of the writer alone would go on with the pages that it knows.
        """
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            look_through(db)


def look_through(db: sqlite3.Connection) -> None:
    """Look through a whole database; raise sqlite3.DatabaseError if it is damaged."""
    with closing(db.execute("PRAGMA quick_check(1)")) as cursor:
        found = cursor.fetchall()
    if found != [("ok",)]:
        raise sqlite3.DatabaseError(str(found[0][0]).splitlines()[0])


def raise_if_damaged(error: Exception) -> None:
    """Raise DamagedBook if an error of SQLite says that the file is no sound database any more."""
    if type(error) is sqlite3.DatabaseError:  # not its subclasses, which are about one statement
        raise DamagedBook(str(error)) from error
