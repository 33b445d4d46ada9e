"""More packed rows than memory holds, in the order of their keys: sorted runs on disk, then merged.

An LMDB file that is filled in the order of its keys is written once and is full; in random order every chunk
would touch every page of it. (External merge sort, Knuth, TAOCP vol. 3, 5.4.)
"""

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from driftgate.features.errors import StoreDamaged
from driftgate.features.layout import Array

PackedRow = tuple[bytes, bytes]

PARTITION_ROWS = 100_000
_SAMPLES_EACH = 256
_MAGIC = b"runs\0\0\0\1"
_HEADER = struct.Struct("<8sQ")
_OFFSET = np.dtype("<i8")


class Run:
    """One file of rows in the order of their keys, read without being held in memory."""

    def __init__(self, path: Path) -> None:
        """Raises StoreDamaged and OSError."""
        with open(path, "rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, self.count = _HEADER.unpack_from(self._data)
        if magic != _MAGIC:
            raise StoreDamaged(f"{path.name} is no run of rows")
        self._keys = self._offsets(_HEADER.size)
        self._rows = self._offsets(_HEADER.size + (self.count + 1) * _OFFSET.itemsize)

    def key(self, index: int) -> bytes:
        """Return one key."""
        return self._data[self._keys[index] : self._keys[index + 1]]

    def rows(self, start: int, end: int) -> Iterator[PackedRow]:
        """Yield the rows from `start` to before `end`."""
        keys, rows = self._keys[start : end + 1].tolist(), self._rows[start : end + 1].tolist()
        data = self._data
        for (key, key_end), (row, row_end) in zip(pairwise(keys), pairwise(rows), strict=True):
            yield data[key:key_end], data[row:row_end]

    def _offsets(self, at: int) -> Array:
        return np.frombuffer(self._data, _OFFSET, self.count + 1, at).copy()


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
