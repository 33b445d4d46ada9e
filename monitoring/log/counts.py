"""What one slot's log has counted, in a small memory-mapped file: exact after a crash, read by anybody.

The counts go on over restarts. Every cell has one writing thread: `dropped_rows_buffer` and `refused_rows`
the event loop's, the others the writer's.
"""

import mmap
import os
from collections.abc import Mapping
from pathlib import Path

MAGIC = b"DGLOGCT1"
CELLS = (
    "written_rows", "written_requests", "written_bytes", "writes", "failed_writes",
    "dropped_rows_quota", "dropped_rows_disk", "dropped_rows_invalid",
    "dropped_rows_buffer", "refused_rows", "buffered_rows", "buffered_bytes",
)  # fmt: skip
(
    WRITTEN_ROWS, WRITTEN_REQUESTS, WRITTEN_BYTES, WRITES, FAILED_WRITES, DROPPED_QUOTA, DROPPED_DISK,
    DROPPED_INVALID, DROPPED_BUFFER, REFUSED, BUFFERED_ROWS, BUFFERED_BYTES,
) = range(len(CELLS))  # fmt: skip
DROPPED = {
    "quota": "dropped_rows_quota",
    "disk": "dropped_rows_disk",
    "invalid": "dropped_rows_invalid",
    "buffer": "dropped_rows_buffer",
}
_CELL_BYTES = 8 * len(CELLS)
SIZE_BYTES = len(MAGIC) + _CELL_BYTES


class LogCounts:
    """The cells of one slot, opened for writing by the process that holds its lease."""

    def __init__(self, path: Path) -> None:
        """Go on counting where the file at `path` ended, or begin at zero."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size != SIZE_BYTES or os.pread(descriptor, 8, 0) != MAGIC:
                os.ftruncate(descriptor, 0)
                # In full: a store into a page that a full disk cannot back would be fatal
                os.pwrite(descriptor, MAGIC + bytes(_CELL_BYTES), 0)
            self.cells = memoryview(mmap.mmap(descriptor, SIZE_BYTES))[len(MAGIC) :].cast("q")
        finally:
            os.close(descriptor)
        self.cells[BUFFERED_ROWS] = self.cells[BUFFERED_BYTES] = 0

    @property
    def dropped_rows(self) -> int:
        """Rows that were lost for any reason."""
        cells = self.cells
        return cells[DROPPED_QUOTA] + cells[DROPPED_DISK] + cells[DROPPED_INVALID] + cells[DROPPED_BUFFER]

    def read(self) -> Mapping[str, int]:
        """Return all counts by name."""
        return dict(zip(CELLS, self.cells, strict=True))


def read_log_counts(path: Path) -> Mapping[str, int]:
    """Return the counts in a file; empty if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    if len(data) != SIZE_BYTES or not data.startswith(MAGIC):
        return {}
    return dict(zip(CELLS, memoryview(data)[len(MAGIC) :].cast("q"), strict=True))
