"""More packed rows than memory holds, in the order of their keys: sorted runs on disk, then merged.

An LMDB file that is filled in the order of its keys is written once and is full; in random order every chunk
would touch every page of it. (External merge sort, Knuth, TAOCP vol. 3, 5.4.)
"""

import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from driftgate.features.errors import StoreDamaged
from driftgate.features.rows.packed_row import PackedRow

PARTITION_ROWS = 100_000
_SAMPLES_EACH = 256
_MAGIC = b"runs\0\0\0\1"
_HEADER = struct.Struct("<8sQ")
_OFFSET = np.dtype("<i8")
_KEYS, _ROWS = 0, 1


class Run:
    """One file of rows in the order of their keys; only what is asked for is read."""

    def __init__(self, path: Path) -> None:
        """Raises StoreDamaged and OSError."""
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with the run
        magic, self.count = _HEADER.unpack(self._read(0, _HEADER.size))
        if magic != _MAGIC:
            self._file.close()
            raise StoreDamaged(f"{path.name} is no run of rows")

    def key(self, index: int) -> bytes:
        """Return one key."""
        start, end = self._ends(_KEYS, index, index + 1)
        return self._read(start, end)

    def rows(self, start: int, end: int) -> Iterator[PackedRow]:
        """Yield the rows from `start` to before `end`."""
        return zip(self._cells(_KEYS, start, end), self._cells(_ROWS, start, end), strict=True)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cells(self, table: int, start: int, end: int) -> Iterator[bytes]:
        ends = self._ends(table, start, end)
        first, data = ends[0], self._read(ends[0], ends[-1])
        return (data[cell - first : cell_end - first] for cell, cell_end in pairwise(ends))

    def _ends(self, table: int, start: int, end: int) -> list[int]:
        """Return where in the file the cells from `start` to `end` begin; the last one is where they end."""
        first = _HEADER.size + table * (self.count + 1) * _OFFSET.itemsize
        data = self._read(first + start * _OFFSET.itemsize, first + (end + 1) * _OFFSET.itemsize)
        ends: list[int] = np.frombuffer(data, _OFFSET).tolist()
        return ends

    def _read(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start)


class Partition(NamedTuple):
    """Rows of all runs whose keys lie in one range; of each run from where to where."""

    bounds: tuple[tuple[int, int], ...]


def write_run(path: Path, rows: Sequence[PackedRow]) -> None:
    """Write rows in the order of their keys; the file appears under its name when it is whole."""
    keys, packed = [key for key, _ in rows], [row for _, row in rows]
    first = _HEADER.size + 2 * (len(rows) + 1) * _OFFSET.itemsize
    key_ends = np.array(list(accumulate(map(len, keys), initial=first)), _OFFSET)
    row_ends = np.array(list(accumulate(map(len, packed), initial=int(key_ends[-1]))), _OFFSET)
    hidden = path.with_name(f".{path.name}.part")
    with open(hidden, "wb") as file:
        file.write(_HEADER.pack(_MAGIC, len(rows)))
        file.write(key_ends.tobytes())
        file.write(row_ends.tobytes())
        file.write(b"".join(keys))
        file.write(b"".join(packed))
    os.rename(hidden, path)


def partitions(runs: Sequence[Run], partition_rows: int = PARTITION_ROWS) -> list[Partition]:
    """Return ranges of keys, rising, each with about so many rows; every row is in one of them."""
    total = sum(run.count for run in runs)
    samples = sorted(key for run in runs for key in _samples(run))
    count = min(len(samples), -(-total // partition_rows))
    cuts = sorted({samples[len(samples) * index // count] for index in range(1, count)})
    edges = [
        [0, *(bisect_left(range(run.count), cut, key=run.key) for cut in cuts), run.count] for run in runs
    ]
    return [Partition(bounds) for bounds in zip(*map(pairwise, edges), strict=True)] if total else []


def merged(runs: Sequence[Run], partition: Partition) -> Iterator[PackedRow]:
    """Yield the rows of a partition, those of earlier runs first; their order is the writer's business."""
    for run, (start, end) in zip(runs, partition.bounds, strict=True):
        if start < end:
            yield from run.rows(start, end)


def _samples(run: Run) -> Iterator[bytes]:
    step = max(1, run.count // _SAMPLES_EACH)
    return map(run.key, range(0, run.count, step))
