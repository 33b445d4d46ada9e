"""LMDB environments of the embedded store; the only file that imports lmdb, whose errors end here.

An environment has two tables: `rows` (packed rows by key) and `about` (a few values by name). A process never
opens one path twice. It opens after it was forked or spawned, never before: a handle must not cross.
"""

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

import lmdb

from driftgate.features.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreUnavailable

FIRST_MAP_BYTES = 2**24
"""Grows by doubling; address space only, the file is as large as its content."""
MAX_READERS = 2048
_ROWS = b"rows"
_ABOUT = b"about"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""EIO is what a write that the disk has no room for half of is told as, in words."""

_T = TypeVar("_T")


class WriteTransaction:
    """What may be done inside one transaction of a RowsWriter."""

    def __init__(self, transaction: lmdb.Transaction, about: "lmdb._Database") -> None:
        # Without `buffers`, which nobody asks for here, values are bytes.
        self.get = cast(Callable[[bytes], bytes | None], transaction.get)
        self.delete = transaction.delete
        self._transaction = transaction
        self._about = about

    def put(self, key: bytes, row: bytes) -> None:
        """Write a row, whether or not there is one."""
        self._transaction.put(key, row)

    def put_new(self, key: bytes, row: bytes) -> bool:
        """Write a row unless there is one; tell whether it was written."""
        return self._transaction.put(key, row, overwrite=False)

    def put_all_new(self, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        """Write those rows whose keys are not there yet; tell whether all were written. Fast if sorted."""
        with self._transaction.cursor() as cursor:
            consumed, added = cursor.putmulti(rows, overwrite=False)
        return consumed == added

    def append(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write sorted rows whose keys are all greater than the last key there; much faster than `put`."""
        with self._transaction.cursor() as cursor:
            cursor.putmulti(rows, append=True)

    def last_key(self) -> bytes:
        """Return the greatest key, b"" if there are no rows."""
        with self._transaction.cursor() as cursor:
            return bytes(cursor.key()) if cursor.last() else b""

    def next_items(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return up to `count` rows whose keys are greater than `after` (b"": from the first), by key."""
        return _next_items(self._transaction, after, count)

    def note(self, name: bytes, value: bytes) -> None:
        """Write a value into `about`, with the rows of this transaction or not at all."""
        self._transaction.put(name, value, db=self._about)


class RowsWriter:
    """The one writer of an environment, made if it is not there.

    With `durable` every `write` is on the disk when it returns; without, `sync` puts it there, and until then
    only a crash of the machine, not of the process, can lose it.
    """

    def __init__(self, directory: Path, durable: bool) -> None:
        with _translated(directory.name):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(directory),
                map_size=FIRST_MAP_BYTES,
                max_readers=MAX_READERS,
                max_dbs=2,
                sync=durable,
                metasync=durable,
                readahead=True,
                mode=0o600,
            )
            self._fit()
            self._rows, self._about = self._env.open_db(_ROWS), self._env.open_db(_ABOUT)
            self._env.reader_check()

    def write(self, change: Callable[[WriteTransaction], _T]) -> _T:
        """Make a change whole or not at all; it is made again if the map has to grow for it.

        Raises StoreFull and StoreError; what was there before is intact then.
        """
        while True:
            try:
                with _translated("rows"), self._env.begin(db=self._rows, write=True) as transaction:
                    return change(WriteTransaction(transaction, self._about))
            except _MapFull:
                self._env.set_mapsize(2 * self._env.info()["map_size"])

    def about(self, name: bytes) -> bytes | None:
        """Return a value of `about`."""
        with self._env.begin(db=self._about) as transaction:
            return transaction.get(name)

    def count(self) -> int:
        """Return how many rows there are."""
        with self._env.begin() as transaction:
            return int(transaction.stat(self._rows)["entries"])

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
                str(directory), readonly=True, lock=False, create=False, max_dbs=2, readahead=False
            )
            try:
                self._rows = self._env.open_db(_ROWS, create=False)
                self._transaction = self._env.begin(db=self._rows)
            except lmdb.Error:
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
        return _next_items(self._transaction, after, count)

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


class SharedRows:
    """An environment that another process writes: read without waiting, in one short transaction per call."""

    def __init__(self, directory: Path) -> None:
        """Raises FileNotFoundError where the writer has not made it yet, StoreDamaged and StoreError."""
        if not (directory / "data.mdb").exists():
            raise FileNotFoundError(directory)
        try:
            with _translated(directory.name):
                self._env = lmdb.open(
                    str(directory),
                    readonly=True,
                    create=False,
                    max_dbs=2,
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
                return list(map(transaction.get, keys))
            finally:
                transaction.abort()
        except lmdb.Error as error:
            raise StoreUnavailable(f"the delta cannot be read: {type(error).__name__}") from error

    def next_items(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return up to `count` rows whose keys are greater than `after` (b"": from the first), by key."""
        self.get_many(())
        with self._env.begin(self._rows) as transaction:
            return _next_items(transaction, after, count)

    def count(self) -> int:
        """Return how many rows there are."""
        self.get_many(())
        with self._env.begin() as transaction:
            return int(transaction.stat(self._rows)["entries"])

    def close(self) -> None:
        """Close it."""
        self._env.close()


def _next_items(transaction: lmdb.Transaction, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
    with transaction.cursor() as cursor:
        there = cursor.set_range(after + b"\0") if after else cursor.first()
        # Without `buffers`, which nobody asks for here, keys and values are bytes.
        rows = cast(Iterator[tuple[bytes, bytes]], iter(cursor))
        return list(itertools.islice(rows, count)) if there else []


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
