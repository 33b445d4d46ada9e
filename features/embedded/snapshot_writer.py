"""Building a snapshot: rows in chunks, in any order, without holding them in memory; then swapped in whole.

A chunk is there as a whole or not at all, and with it how far the loader had come, so that a loader that was
killed goes on where it was. Of several rows of an entity the one with the newest event time stays.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec

from driftgate.features.durable import boot_id, only_one, sync_directory
from driftgate.features.embedded.key_buckets import BUCKET, BucketState, KeyBuckets
from driftgate.features.embedded.lmdb_file import ImmutableRows, RowsWriter
from driftgate.features.embedded.pushed_keys import pushed_rows_of, times_by_key
from driftgate.features.embedded.snapshots import (
    FORMAT,
    SnapshotInfo,
    ViewFiles,
    current_snapshot,
    make_current,
    remove_old,
    snapshot_info,
    snapshot_numbers,
)
from driftgate.features.embedded.write_table import WriteTransaction
from driftgate.features.errors import SnapshotUnknown, StoreDamaged, StoreError, StoreFull
from driftgate.features.lookup.store import NO_SNAPSHOT
from driftgate.features.rows.codec import EntityRows, encode_rows, event_time_of
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.packed_row import PackedRow, newest_by_key
from driftgate.features.views.view import FeatureView

_IDENTITY = b"identity"
_PROGRESS = b"progress"
_BUCKETS = b"buckets"
BUCKETS_FROM = 300_000
"""Rows in a snapshot from which on rows out of order are put aside; measured at one million rows."""


class SnapshotWriter:
    """Builds one snapshot of a view; a context manager that holds the loader's lock of the view.

    `purpose` names what is loaded, for example a file's name, size and time. An unfinished snapshot of the
    same purpose is taken up again, unless the machine was restarted meanwhile (its last chunks may not have
    reached the disk); otherwise building begins anew. Raises StoreBusy if another process loads this view.
    """

    def __init__(
        self,
        root: Path,
        view: FeatureView,
        purpose: str = "",
        onto_current: bool = False,
        buckets_from: int = BUCKETS_FROM,
    ) -> None:
        """`onto_current` begins with the rows of the current snapshot instead of none.

        Once there are `buckets_from` rows, those that come in no order are put aside until `finish`.
        """
        self._files = ViewFiles(root, view.name)
        self._view = view
        self._layout = RowLayout.of(view)
        self._onto_current = onto_current
        self._buckets_from = buckets_from
        self._purpose = purpose
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> "SnapshotWriter":
        lock = only_one(self._files.loader_lock, f"loading the view {self._view.name!r}")
        self._exit.enter_context(lock)
        try:
            self._base = current_snapshot(self._files) if self._onto_current else NO_SNAPSHOT
            self._identity = msgspec.json.encode(
                [FORMAT, self._view.schema_id, self._purpose, self._base, boot_id()]
            )
            self._rows = self._take_up()
            self._buckets = self._take_up_buckets()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        self._exit.close()

    @property
    def progress(self) -> bytes:
        """What came with the last chunk, b"" if there was none yet: where a loader is to go on."""
        return self._rows.about(_PROGRESS) or b""

    def count(self) -> int:
        """Return how many entities the snapshot has so far, without rows put aside until `finish`."""
        return self._rows.count()

    def append(self, rows: EntityRows, progress: bytes = b"") -> None:
        """Add a chunk. It is there as a whole, with its `progress`, or not at all.

        Fastest in chunks of 10,000 to 100,000 rows. Raises InvalidRows, StoreFull and StoreError.
        """
        self.append_packed(zip(rows.keys, encode_rows(self._layout, rows), strict=True), progress)

    def append_packed(self, rows: Iterable[PackedRow], progress: bytes = b"", pushed: bool = False) -> None:
        """Add a chunk of packed rows, as `append` does; those that were `pushed` outlive later loads."""
        newest = newest_by_key(rows)
        if pushed:
            self._rows.write(lambda transaction: transaction.beside.put_all(times_by_key(newest)))
        if self._buckets is None and not self._is_in_order(newest) and self.count() >= self._buckets_from:
            self._buckets = KeyBuckets.like(self._files.building, newest)
        if self._buckets is None:
            self._rows.write(lambda transaction: _add(transaction, newest, progress))
            return
        state = self._buckets.added(newest)
        self._rows.write(lambda transaction: _note(transaction, progress, state))
        self._buckets.state = state

    def finish(self, source: str = "") -> SnapshotInfo:
        """Put the snapshot on the disk and make it the one that is read; return what it is.

        Raises StoreFull and StoreError; the snapshot that was read until now is read on then.
        """
        self._empty_buckets()
        if not self._onto_current:
            self._take_pushed_along()
        number = max(snapshot_numbers(self._files), default=NO_SNAPSHOT) + 1
        info = SnapshotInfo(
            format=FORMAT,
            number=number,
            view=self._view.name,
            schema=f"{self._view.schema_id:016x}",
            digest=self._view.digest,
            rows=self._rows.count(),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            source=source,
            after=_read_until_now(self._files),
            pushed=self._rows.count_beside(),
        )
        self._rows.sync()
        self._rows.close()
        try:
            self._give_name(info)
        except OSError as error:
            raise StoreFull(f"the snapshot cannot be finished: {error.strerror}") from error
        return info

    def discard(self) -> None:
        """Throw away what was built."""
        self._rows.close()
        shutil.rmtree(self._files.building, ignore_errors=True)

    def _is_in_order(self, rows: list[PackedRow]) -> bool:
        return not rows or self._rows.write(lambda transaction: transaction.last_key()) < rows[0][0]

    def _empty_buckets(self) -> None:
        """Write what was put aside; to do it again after a kill changes nothing."""
        if self._buckets is None:
            return
        for batch in self._buckets.batches():
            newest = newest_by_key(batch)
            self._rows.write(lambda transaction, newest=newest: _merge(transaction, newest))  # type: ignore[misc] # bound now
        self._rows.write(lambda transaction: transaction.note(_BUCKETS, b""))
        self._buckets = None

    def _take_pushed_along(self) -> None:
        """Add what was pushed and is in the current snapshot by now: a load replaces only what was loaded."""
        with contextlib.suppress(StoreDamaged, SnapshotUnknown, FileNotFoundError):
            current = _read_until_now(self._files)
            schema = f"{self._view.schema_id:016x}"
            info = snapshot_info(self._files, current)
            if not info.pushed or info.schema != schema:
                return
            with contextlib.closing(ImmutableRows(self._files.snapshot(current))) as base:
                for rows in pushed_rows_of(base):
                    self.append_packed(rows, self.progress, pushed=True)
        self._empty_buckets()

    def _take_up_buckets(self) -> KeyBuckets | None:
        state = self._rows.about(_BUCKETS)
        if not state:
            return None
        return KeyBuckets(self._files.building, msgspec.msgpack.decode(state, type=BucketState))

    def _give_name(self, info: SnapshotInfo) -> None:
        building = self._files.building
        with open(building / "snapshot.json", "wb") as file:
            file.write(msgspec.json.encode(info))
            file.flush()
            os.fsync(file.fileno())
        for leftover in (building / "lock.mdb", *building.glob(f"{BUCKET}*")):
            leftover.unlink(missing_ok=True)
        os.chmod(building / "data.mdb", 0o400)  # who cuts a file that is mapped short kills its readers
        sync_directory(building)
        building.rename(self._files.snapshot(info.number))
        make_current(self._files, info.number)
        remove_old(self._files)

    def _take_up(self) -> RowsWriter:
        building = self._files.building
        if building.exists():
            with contextlib.suppress(StoreError):
                rows = RowsWriter(building, durable=False)
                if rows.about(_IDENTITY) == self._identity:
                    return rows
                rows.close()
            shutil.rmtree(building)
        return self._begin()

    def _begin(self) -> RowsWriter:
        if self._base != NO_SNAPSHOT:
            self._copy_base()
        rows = RowsWriter(self._files.building, durable=False)
        rows.write(lambda transaction: transaction.note(_PROGRESS, b""))
        rows.write(lambda transaction: transaction.note(_IDENTITY, self._identity))
        return rows

    def _copy_base(self) -> None:
        """Copy the current snapshot under another name first: half a copy must never be opened."""
        if snapshot_info(self._files, self._base).schema != f"{self._view.schema_id:016x}":
            raise StoreError(
                f"snapshot {self._base} of the view {self._view.name!r} has other features than its "
                "declaration: load all rows anew"
            )
        shutil.rmtree(self._files.copying, ignore_errors=True)
        self._files.copying.mkdir(mode=0o700)
        base = ImmutableRows(self._files.snapshot(self._base))
        try:
            base.copy_to(self._files.copying)
        finally:
            base.close()
        self._files.copying.rename(self._files.building)


def _add(transaction: WriteTransaction, rows: list[PackedRow], progress: bytes) -> None:
    _merge(transaction, rows)
    transaction.note(_PROGRESS, progress)


def _note(transaction: WriteTransaction, progress: bytes, state: BucketState) -> None:
    transaction.note(_PROGRESS, progress)
    transaction.note(_BUCKETS, msgspec.msgpack.encode(state))


def _merge(transaction: WriteTransaction, rows: list[PackedRow]) -> None:
    """Write sorted rows, each unless one as new is there."""
    if rows and rows[0][0] > transaction.last_key():
        transaction.append(rows)
    elif not transaction.put_all(rows, overwrite=False):
        _replace_older(transaction, rows)


def _replace_older(transaction: WriteTransaction, rows: Iterable[PackedRow]) -> None:
    for key, row in rows:
        if event_time_of(transaction.get(key) or b"") < event_time_of(row):
            transaction.put(key, row)


def _read_until_now(files: ViewFiles) -> int:
    try:
        return current_snapshot(files)
    except StoreDamaged:
        return NO_SNAPSHOT
