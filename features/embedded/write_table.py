"""What is done inside a write transaction of the embedded store: to its rows, and to what goes with them."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import lmdb


class Tables(NamedTuple):
    """The tables of an environment: packed rows by key, a few values by name, what is written with rows."""

    rows: "lmdb._Database"
    about: "lmdb._Database"
    beside: "lmdb._Database"


class WriteTable:
    """One table inside one transaction of a RowsWriter."""

    def __init__(self, transaction: "lmdb.Transaction", table: "lmdb._Database") -> None:
        # Without `buffers`, which nobody asks for here, values are bytes.
        self.get = cast(Callable[[bytes], bytes | None], partial(transaction.get, db=table))
        self._transaction = transaction
        self._table = table

    def put(self, key: bytes, row: bytes) -> None:
        """Write a row, whether or not there is one."""
        self._transaction.put(key, row, db=self._table)

    def put_new(self, key: bytes, row: bytes) -> bool:
        """Write a row unless there is one; tell whether it was written."""
        return self._transaction.put(key, row, overwrite=False, db=self._table)

    def put_all(self, rows: Sequence[tuple[bytes, bytes]], overwrite: bool = True) -> bool:
        """Write rows, or those whose keys are not there yet; tell whether all were. Fast if sorted."""
        with self._transaction.cursor(self._table) as cursor:
            consumed, added = cursor.putmulti(rows, overwrite=overwrite)
        return consumed == added

    def append(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write sorted rows whose keys are all greater than the last key there; much faster than `put`."""
        with self._transaction.cursor(self._table) as cursor:
            cursor.putmulti(rows, append=True)

    def delete(self, key: bytes) -> None:
        """Remove a row, if there is one."""
        self._transaction.delete(key, db=self._table)

    def delete_all(self, keys: Iterable[bytes]) -> None:
        """Remove the rows of these keys."""
        for key in keys:
            self.delete(key)

    def last_key(self) -> bytes:
        """Return the greatest key, b"" if there are no rows."""
        with self._transaction.cursor(self._table) as cursor:
            return bytes(cursor.key()) if cursor.last() else b""

    def next_items(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Return up to `count` rows whose keys are greater than `after` (b"": from the first), by key."""
        return next_items(self._transaction, self._table, after, count)


class WriteTransaction(WriteTable):
    """The rows inside one transaction of a RowsWriter, and what is written with them or not at all."""

    def __init__(self, transaction: "lmdb.Transaction", tables: "Tables") -> None:
        super().__init__(transaction, tables.rows)
        self.beside = WriteTable(transaction, tables.beside)
        self._about = tables.about

    def note(self, name: bytes, value: bytes) -> None:
        """Write a value into `about`."""
        self._transaction.put(name, value, db=self._about)


def next_items(
    transaction: "lmdb.Transaction", table: "lmdb._Database", after: bytes, count: int
) -> list[tuple[bytes, bytes]]:
    """Return up to `count` items of a table whose keys are greater than `after` (b"": from the first)."""
    with transaction.cursor(table) as cursor:
        there = cursor.set_range(after + b"\0") if after else cursor.first()
        # Without `buffers`, which nobody asks for here, keys and values are bytes.
        rows = cast(Iterator[tuple[bytes, bytes]], iter(cursor))
        return list(itertools.islice(rows, count)) if there else []
