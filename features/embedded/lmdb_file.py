"""LMDB environments of the embedded store; the only file that imports lmdb, whose errors end here.

An environment has three tables: `rows` (packed rows by key), `about` (a few values by name), and `beside`:
what is written together with rows. A process never opens one path twice. It opens after it was forked or
spawned, never before: a handle must not cross.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import lmdb

from driftgate.features.embedded.write_table import Tables, WriteTransaction, next_items
from driftgate.features.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreUnavailable

FIRST_MAP_BYTES = 2**24
"""Grows by doubling; address space only, the file is as large as its content."""
MAX_READERS = 2048
_LOCK_BYTES = 64 * (MAX_READERS + 4)
"""Of `lock.mdb`: a line for each reader, and some for what comes before them."""
_ROWS = b"rows"
_ABOUT = b"about"
_BESIDE = b"beside"
_TABLES = 3
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""EIO is what a write that the disk has no room for half of is told as, in words."""

_T = TypeVar("_T")


class RowsWriter:
    """The one writer of an environment, made if it is not there.

    With `durable` every `write` is on the disk when it returns; without, `sync` puts it there, and until then
    only a crash of the machine, not of the process, can lose it.
    """

    def __init__(self, directory: Path, durable: bool) -> None:
        with _translated(directory.name):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _reserve_lock(directory / "lock.mdb")
            self._env = lmdb.open(
                str(directory),
                map_size=FIRST_MAP_BYTES,
                max_readers=MAX_READERS,
                max_dbs=_TABLES,
                sync=durable,
                metasync=durable,
                readahead=True,
                mode=0o600,
            )
            self._fit()
            self._tables = Tables(*map(self._env.open_db, (_ROWS, _ABOUT, _BESIDE)))
            self._env.reader_check()

    def write(self, change: Callable[[WriteTransaction], _T]) -> _T:
        """Make a change whole or not at all; it is made again if the map has to grow for it.

        Raises StoreFull and StoreError; what was there before is intact then.
        """
        while True:
            try:
                with _translated("rows"), self._env.begin(write=True) as transaction:
                    return change(WriteTransaction(transaction, self._tables))
            except _MapFull:
                self._env.set_mapsize(2 * self._env.info()["map_size"])

    def about(self, name: bytes) -> bytes | None:
        """Return a value of `about`."""
        with self._env.begin(db=self._tables.about) as transaction:
            return transaction.get(name)

    def count(self) -> int:
        """Return how many rows there are."""
        with self._env.begin() as transaction:
            return int(transaction.stat(self._tables.rows)["entries"])

    def count_beside(self) -> int:
        """Return how much was written beside rows."""
        with self._env.begin() as transaction:
            return int(transaction.stat(self._tables.beside)["entries"])

    def sync(self) -> None:
        """Wait until the disk has everything."""
        with _translated("rows"):
            self._env.sync(True)

    def check_readers(self) -> int:
        """Free the places of readers that died, which would keep old pages from being used again."""
        return int(self._env.reader_check())

    def copy_to(self, directory: Path) -> None:
        """Copy everything, without free pages, into an empty directory."""
        with _translated(directory.name):
            self._env.copy(str(directory), compact=True)

    def close(self) -> None:
        """Close it."""
        self._env.close()

    def _fit(self) -> None:
        """Take over the map's size from the file, with room to write."""
        info = self._env.info()
        used = (info["last_pgno"] + 2) * self._env.stat()["psize"]
        if 2 * used > info["map_size"]:
            self._env.set_mapsize(2 * used)


class ImmutableRows:
    """An environment whose files never change: read without locks, in one transaction as long as it lives."""

    def __init__(self, directory: Path) -> None:
        """Raises FileNotFoundError, StoreDamaged and StoreError."""
        if not (directory / "data.mdb").exists():
            raise FileNotFoundError(directory)
        with _translated(directory.name):
            self._env = lmdb.open(
                str(directory), readonly=True, lock=False, create=False, max_dbs=_TABLES, readahead=False
            )
            try:
                self._check_whole(directory)
                self._rows = self._env.open_db(_ROWS, create=False)
                self._transaction = self._env.begin(db=self._rows)
            except (lmdb.Error, StoreDamaged):
                self._env.close()
                raise
        self.get: Callable[[bytes], bytes | None] = self._transaction.get

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the rows of these keys, None where there is none. Raises StoreError."""
        try:
            return list(map(self.get, keys))
        except lmdb.Error as error:
            raise StoreUnavailable(f"a snapshot cannot be read: {type(error).__name__}") from error

    def next_items(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return up to `count` rows whose keys are greater than `after` (b"": from the first), by key."""
        return next_items(self._transaction, self._rows, after, count)

    def items_beside(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return the same of what was written beside rows."""
        beside = _table_beside(self._env)
        with self._env.begin() as transaction:  # the one that is open does not know the table
            return next_items(transaction, beside, after, count) if beside else []

    def count(self) -> int:
        """Return how many rows there are."""
        return int(self._transaction.stat(self._rows)["entries"])

    def copy_to(self, directory: Path) -> None:
        """Copy everything into an empty directory."""
        with _translated(directory.name):
            self._env.copy(str(directory), compact=True)

    def close(self) -> None:
        """Close it; `get` must not be called any more."""
        self._transaction.abort()
        self._env.close()

    def _check_whole(self, directory: Path) -> None:
        """Raise StoreDamaged if pages are missing at the end: to read one would kill the process (SIGBUS)."""
        pages = self._env.info()["last_pgno"] + 1
        if (directory / "data.mdb").stat().st_size < pages * self._env.stat()["psize"]:
            raise StoreDamaged(f"{directory.name} was cut short: roll back or load it again")


class SharedRows:
    """An environment that another process writes: read without waiting, in one short transaction per call."""

    def __init__(self, directory: Path) -> None:
        """Raises FileNotFoundError where the writer has not made it yet, StoreDamaged and StoreError."""
        self._looked_at, self._is_empty = 0, True
        if not (directory / "data.mdb").exists():
            raise FileNotFoundError(directory)
        try:
            with _translated(directory.name):
                self._env = lmdb.open(
                    str(directory),
                    readonly=True,
                    create=False,
                    max_dbs=_TABLES,
                    max_readers=MAX_READERS,
                    readahead=False,
                )
                try:
                    self._env.reader_check()
                    self._rows = self._env.open_db(_ROWS, create=False)
                except lmdb.Error:
                    self._env.close()
                    raise
        except _NotThere as error:
            raise FileNotFoundError(directory) from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the rows of these keys, all of one moment; None where there is none. Raises StoreError."""
        try:
            try:
                transaction = self._env.begin(self._rows)
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)
                transaction = self._env.begin(self._rows)
            try:
                # Only a new transaction of the writer can have put rows where there were none.
                if transaction.id() != self._looked_at:
                    self._looked_at = transaction.id()
                    self._is_empty = not transaction.stat(self._rows)["entries"]
                return [None] * len(keys) if self._is_empty else list(map(transaction.get, keys))
            finally:
                transaction.abort()
        except lmdb.Error as error:
            raise StoreUnavailable(f"the delta cannot be read: {type(error).__name__}") from error

    def next_items(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return up to `count` rows whose keys are greater than `after` (b"": from the first), by key."""
        self.get_many(())
        with self._env.begin() as transaction:
            return next_items(transaction, self._rows, after, count)

    def items_beside(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return the same of what was written beside rows."""
        self.get_many(())
        beside = _table_beside(self._env)
        with self._env.begin() as transaction:
            return next_items(transaction, beside, after, count) if beside else []

    def count(self) -> int:
        """Return how many rows there are."""
        self.get_many(())
        with self._env.begin() as transaction:
            return int(transaction.stat(self._rows)["entries"])

    def close(self) -> None:
        """Close it."""
        self._env.close()


def _reserve_lock(path: Path) -> None:
    """Make the file of readers with room on the disk; raises OSError.

    LMDB writes it through a map, and a store into a page that a full disk cannot back would kill the process.
    One that is there may be open in this process, whose locks on it closing another descriptor would free.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_BYTES)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _table_beside(env: lmdb.Environment) -> "lmdb._Database | None":
    """Return the table for reading; None where an earlier version wrote the file, or nobody has."""
    try:
        return env.open_db(_BESIDE, create=False)
    except (lmdb.NotFoundError, lmdb.ReadonlyError):
        return None


class _MapFull(StoreError):
    """The map has to grow."""


class _NotThere(StoreError):
    """A table that has not been made yet."""


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn the library's errors into ours, which name no path."""
    try:
        yield
    except lmdb.MapFullError as error:
        raise _MapFull from error
    except lmdb.NotFoundError as error:
        raise _NotThere from error
    except (
        lmdb.CorruptedError,
        lmdb.InvalidError,
        lmdb.PageNotFoundError,
        lmdb.VersionMismatchError,
    ) as error:
        raise StoreDamaged(f"{name} is damaged: load it again") from error
    except (lmdb.Error, OSError) as error:
        raise _store_error(name, error) from error


def _store_error(name: str, error: Exception) -> StoreError:
    if isinstance(error, lmdb.DiskError) or any(os.strerror(number) in str(error) for number in _FULL):
        return StoreFull(f"{name} cannot be written: the disk is full, or failing")
    if "already open" in str(error):
        return StoreBusy(f"{name} is open in this process already")
    return StoreError(f"{name}: {type(error).__name__}")
