"""What says that `monitor.db` is damaged or gone, so that it must be made anew from the logs."""

import os
import sqlite3
from pathlib import Path

_BEGINNING = b"SQLite format 3\0"


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


def raise_if_damaged(error: Exception) -> None:
    """Raise DamagedBook if an error of SQLite says that the file is no sound database any more."""
    if type(error) is sqlite3.DatabaseError:  # not its subclasses, which are about one statement
        raise DamagedBook(str(error)) from error
