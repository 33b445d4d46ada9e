"""Writing pushed rows into the delta of a view, durably, and taking out what snapshots hold by now.

One process does it, whatever the number of workers: a paused holder of LMDB's write lock would block every
other writer. Readers never wait for it.
"""

import contextlib
import functools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from driftgate.features.durable import only_one
from driftgate.features.embedded.history_parts import history_directory
from driftgate.features.embedded.lmdb_file import ImmutableRows, RowsWriter
from driftgate.features.embedded.push_history import (
    FILE_ROWS,
    PushedRow,
    is_due,
    last_number,
    number_of,
    numbered,
    remove_files,
    write_file,
)
from driftgate.features.embedded.snapshots import ViewFiles, snapshot_numbers
from driftgate.features.embedded.write_table import WriteTransaction
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US, event_time_of
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.rows.push_outcome import PushOutcome

TRIM_CHUNK = 10_000


class DeltaWriter:
    """The one writer of the delta of a view. Raises StoreBusy where another process is it."""

    def __init__(self, root: Path, view: str, history: bool = True) -> None:
        """With `history` what is written is noted for training sets, too."""
        self._files = ViewFiles(root, view)
        self._history = history
        with contextlib.ExitStack() as stack:
            stack.enter_context(only_one(self._files.delta_lock, f"writing pushes of the view {view!r}"))
            self._rows = RowsWriter(self._files.delta, durable=True)
            self._exit = stack.pop_all()
        self._trimmed = (0, 0)
        self._lacking, self._written = self._rows.count(), 0
        noted = self._rows.write(lambda transaction: transaction.beside.last_key())
        self._last = max(last_number(history_directory(root, view)), number_of(noted))

    def push(self, rows: Sequence[PackedRow], now_us: int) -> list[PushOutcome]:
        """Write rows and return what became of each; what is WRITTEN is on the disk by then.

        An older row never replaces a newer one, and pushing again changes nothing. Of rows for one key the
        newest stays, whatever their order. Raises StoreFull and StoreError: then nothing was written.
        """
        outcomes = self._rows.write(lambda transaction: self._push(transaction, rows, now_us))
        written = outcomes.count(PushOutcome.WRITTEN)
        self._last += written
        self._written += written
        return outcomes

    @property
    def pending(self) -> int:
        """About how many rows were pushed that no snapshot has; one that was pushed twice may count twice."""
        return self._lacking + self._written

    def move_history(self, keep_from_us: int) -> bool:
        """Move the oldest noted rows into a file if they fill one, or were written before a time.

        Tell whether there may be more to move. Raises StoreError and OSError; nothing is lost then.
        """
        noted = self._rows.write(lambda transaction: transaction.beside.next_items(b"", FILE_ROWS + 1))
        if not is_due(noted, keep_from_us):
            return False
        moved = write_file(self._files, noted)
        self._rows.write(lambda transaction: transaction.beside.delete_all(moved))
        return True

    def forget_history(self, before_s: float, max_bytes: int) -> int:
        """Remove files of what was pushed before a time, and the oldest beyond a size; return how many.

        Raises OSError.
        """
        return remove_files(history_directory(self._files.root, self._files.view), before_s, max_bytes)

    def has_new_snapshot(self, settled_s: float) -> bool:
        """Tell, once for each, whether there is a snapshot that has been the current one for so long."""
        try:
            found = os.stat(self._files.current)
        except FileNotFoundError:
            return False
        seen = (found.st_ino, found.st_mtime_ns)
        if seen == self._trimmed or time.time() < found.st_mtime + settled_s:
            return False
        self._trimmed = seen
        return True

    def trimming(self) -> Iterator[int]:
        """Remove the rows that snapshots hold by now; yield how many after each of many short transactions.

        A row leaves when all snapshots that are kept hold one as new. So a reader that has not taken up the
        current one yet, and one that is rolled back, to whichever, still find every push.
        """
        with contextlib.ExitStack() as stack:
            bases = []
            for number in snapshot_numbers(self._files):
                bases.append(ImmutableRows(self._files.snapshot(number)))
                stack.callback(bases[-1].close)
            after, lacking = b"", 0
            self._written = 0
            while bases:
                some = self._rows.write(functools.partial(_trim_some, bases=bases, after=after))
                lacking += some.lacking
                yield some.removed
                if not some.last:
                    self._lacking = lacking
                    return
                after = some.last

    def trim(self) -> int:
        """Remove them all at once, and return how many."""
        return sum(self.trimming())

    def count(self) -> int:
        """Return how many rows the delta has."""
        return self._rows.count()

    def check_readers(self) -> int:
        """Free the places of readers that died; to be called every 10 s."""
        return self._rows.check_readers()

    def close(self) -> None:
        """Close it and let another process be the writer."""
        self._rows.close()
        self._exit.close()

    def _push(
        self, transaction: WriteTransaction, rows: Sequence[PackedRow], now_us: int
    ) -> list[PushOutcome]:
        newest_us = now_us + FUTURE_ALLOWANCE_US
        outcomes = [_push(transaction, key, row, newest_us) for key, row in rows]
        if self._history:
            written = [
                PushedRow(now_us, key, row)
                for (key, row), outcome in zip(rows, outcomes, strict=True)
                if outcome is PushOutcome.WRITTEN
            ]
            transaction.beside.append(numbered(written, self._last + 1))
        return outcomes


def _push(transaction: WriteTransaction, key: bytes, row: bytes, newest_us: int) -> PushOutcome:
    time_us = event_time_of(row)
    if time_us > newest_us:
        return PushOutcome.FUTURE
    if transaction.put_new(key, row):
        return PushOutcome.WRITTEN
    found_us = event_time_of(transaction.get(key) or b"")
    if found_us >= time_us:
        return PushOutcome.SAME if found_us == time_us else PushOutcome.OLDER
    transaction.put(key, row)
    return PushOutcome.WRITTEN


class _Trimmed(NamedTuple):
    """`last` is the last key looked at, b"" at the end; `lacking` is how many rows no snapshot has."""

    last: bytes
    removed: int
    lacking: int


def _trim_some(transaction: WriteTransaction, bases: Sequence[ImmutableRows], after: bytes) -> _Trimmed:
    looked = transaction.next_items(after, TRIM_CHUNK)
    held = [(key, [_holds(base, key, event_time_of(row)) for base in bases]) for key, row in looked]
    transaction.delete_all(gone := [key for key, by in held if all(by)])
    lacking = sum(not any(by) for _, by in held)
    return _Trimmed(looked[-1][0] if looked else b"", len(gone), lacking)


def _holds(base: ImmutableRows, key: bytes, time_us: int) -> bool:
    return event_time_of(base.get(key) or b"") >= time_us
