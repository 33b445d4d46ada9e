"""Loading a file of rows into a new snapshot of a view: checked, sorted, and swapped in whole at the end.

Rows are sorted in runs on disk and merged into the snapshot in the order of their keys, so that memory holds
a chunk at a time. A loader that was killed goes on with the chunk at which it was.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from driftgate.features.durable import boot_id
from driftgate.features.embedded.history_parts import history_directory, put_parts, remove_parts
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import SnapshotInfo, ViewFiles, snapshot_numbers
from driftgate.features.errors import InvalidRows, StoreError
from driftgate.features.filling.history import table_columns
from driftgate.features.filling.load_progress import LoadCounts, LoadDirectory
from driftgate.features.filling.sorted_runs import merged, partitions
from driftgate.features.filling.table_rows import FileShape, ReadRows, RowReader
from driftgate.features.filling.tables import Chunk, TableFile, write_parquet
from driftgate.features.rows.codec import encode_rows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.packed_row import PackedRow, newest_by_key
from driftgate.features.views.view import FeatureView

OnProgress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1."""

READING_SHARE = 0.7
"""Of the whole work; the rest is merging."""


@dataclass(frozen=True)
class LoadJob:
    """What is loaded where. `store` is the root of the embedded store.

    `onto_current` keeps what the current snapshot has and the file lacks. With more than `max_rejected` of
    the rows rejected (a share, 0 to 1) nothing is loaded; nor if all are. `history` keeps rows for training.
    """

    file: TableFile
    view: FeatureView
    store: Path
    rejected: Path
    shape: FileShape = field(default_factory=FileShape)
    onto_current: bool = False
    history: bool = True
    max_rejected: float = 1.0


class LoadReport(msgspec.Struct, frozen=True):
    """What became of a load. For a dry run `snapshot` and `entities` are 0 and nothing was changed.

    `entities` is how many the snapshot has; `rejected_file` is "" if no row was rejected; `resumed_at` is the
    row with which an interrupted load went on, 0 if this one began at the first.
    """

    view: str
    file: str
    snapshot: int
    entities: int
    counts: LoadCounts
    seconds: float
    unused_columns: tuple[str, ...] = ()
    rejected_file: str = ""
    resumed_at: int = 0

    @property
    def rows_per_s(self) -> float:
        """Rows of the file in a second, of those that were read this time."""
        read = self.counts.taken + self.counts.rejected - self.resumed_at
        return read / self.seconds if self.seconds else 0.0


def load(job: LoadJob, on_progress: OnProgress, now_us: int) -> LoadReport:
    """Load a file and return what became of it; events after `now_us` are rejected.

    Raises InvalidTable, InvalidRows, StoreBusy, StoreFull, StoreError and OSError; what was read until then
    is read on, and the next load of the same file goes on where this one stopped.
    """
    began = time.monotonic()
    reader = RowReader(job.view, job.shape)
    unused = reader.check_columns(job.file.columns)
    loading = ViewFiles(job.store, job.view.name).directory / ".loading"
    kept = LoadDirectory(loading, job.rejected, _identity(job))
    with SnapshotWriter(job.store, job.view, _identity(job), job.onto_current) as writer:
        kept.open()
        resumed_at = kept.counts.last_row
        _read(job, reader, kept, on_progress, now_us)
        _check_rejected(job, kept.counts)
        _merge(kept, writer, on_progress)
        snapshot = _finish(job, kept, writer)
        kept.remove()
    counts = kept.counts
    return LoadReport(
        job.view.name,
        job.file.path.name,
        snapshot.number,
        snapshot.rows,
        counts,
        time.monotonic() - began,
        unused,
        str(job.rejected) if counts.rejected else "",
        resumed_at,
    )


def check(job: LoadJob, on_progress: OnProgress, now_us: int) -> LoadReport:
    """Return what `load` would take and reject, and change nothing."""
    began = time.monotonic()
    reader = RowReader(job.view, job.shape)
    unused = reader.check_columns(job.file.columns)
    counts = LoadCounts()
    for chunk in job.file.chunks(reader.columns):
        read = reader.read(chunk, now_us)
        counts = counts.plus(_last_row(chunk), read, 0)
        on_progress(chunk.read_bytes / max(1, job.file.size_bytes))
    return LoadReport(job.view.name, job.file.path.name, 0, 0, counts, time.monotonic() - began, unused)


def _identity(job: LoadJob) -> str:
    found = os.stat(job.file.path)
    named = (
        *(str(job.file.path.absolute()), found.st_size, found.st_mtime_ns, found.st_ino),
        *(job.view.schema_id, job.shape.event_time, job.shape.event_time_unit, job.onto_current, job.history),
        *(str(job.rejected.absolute()), boot_id()),
    )
    return msgspec.json.encode(named).decode()


def _read(job: LoadJob, reader: RowReader, kept: LoadDirectory, on_progress: OnProgress, now_us: int) -> None:
    layout = RowLayout.of(job.view)
    for chunk in job.file.chunks(reader.columns, kept.counts.last_row):
        read = reader.read(chunk, now_us)
        if job.history and read.rows.keys:
            write_parquet(
                kept.history_part(kept.counts.parts), table_columns(job.view, read.join_keys, read.rows)
            )
        kept.add(_last_row(chunk), read, _in_order(layout, read))
        on_progress(READING_SHARE * chunk.read_bytes / max(1, job.file.size_bytes))


def _last_row(chunk: Chunk) -> int:
    """Return the number of the last row of a chunk, a broken one included."""
    whole = int(chunk.numbers[-1]) if len(chunk.numbers) else 0
    return max([whole, *(number for number, _ in chunk.broken)])


def _in_order(layout: RowLayout, read: ReadRows) -> list[PackedRow]:
    if not read.rows.keys:
        return []
    return newest_by_key(zip(read.rows.keys, encode_rows(layout, read.rows), strict=True))


def _check_rejected(job: LoadJob, counts: LoadCounts) -> None:
    total = counts.taken + counts.rejected
    if counts.taken and counts.rejected <= job.max_rejected * total:
        return
    if not total:
        raise InvalidRows(f"{job.file.path.name} has no rows; nothing was loaded")
    common = max(counts.reasons, key=lambda reason: counts.reasons[reason], default="")
    raise InvalidRows(
        f"{counts.rejected} of {total} rows were rejected, most of them because: {common}. Nothing was "
        f"loaded; all are in {job.rejected}"
    )


def _merge(kept: LoadDirectory, writer: SnapshotWriter, on_progress: OnProgress) -> None:
    merging = b"%d rows in %d parts, merged " % (kept.counts.taken, kept.counts.parts)
    merged_already = writer.progress.removeprefix(merging)
    # Ranges of other runs are other ranges: then all are merged again, which changes nothing.
    done = int(merged_already) if merged_already.isdigit() else 0
    with kept.runs() as runs:
        ranges = partitions(runs)
        for number, partition in enumerate(ranges[done:], done + 1):
            writer.append_packed(merged(runs, partition), merging + b"%d" % number)
            on_progress(READING_SHARE + (1 - READING_SHARE) * number / len(ranges))


def _finish(job: LoadJob, kept: LoadDirectory, writer: SnapshotWriter) -> SnapshotInfo:
    """Swap the snapshot in, its history before it: what is served can be trained with."""
    number = max(snapshot_numbers(ViewFiles(job.store, job.view.name)), default=0) + 1
    history = history_directory(job.store, job.view.name)
    try:
        put_parts(_history_parts(kept), history, number)
        return writer.finish(job.file.path.name)
    except (StoreError, OSError):
        remove_parts(history, number)
        raise


def _history_parts(kept: LoadDirectory) -> Iterator[tuple[int, Path]]:
    for part in range(kept.counts.parts):
        if kept.history_part(part).exists():
            yield part, kept.history_part(part)
