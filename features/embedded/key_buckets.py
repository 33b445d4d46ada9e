"""Rows that came in no order, put aside by ranges of keys until they can be written range by range.

Writing random keys into a large B-tree rewrites most of it with every transaction. A bucket is a file of
frames (u32 length and MessagePack of keys with packed rows), and as long as its writer says: what lies behind
that was not finished.
"""

import bisect
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from driftgate.features.errors import StoreDamaged, StoreFull

BUCKET = "bucket-"
"""What the names of the files begin with."""
COUNT = 128
BATCH_BYTES = 2**26
"""How much of a bucket is held in memory at a time."""

_LENGTH = struct.Struct("<I")
_ROWS = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])

PackedRow = tuple[bytes, bytes]


class BucketState(msgspec.Struct, frozen=True):
    """How far the buckets are filled: first keys of all but the lowest, and sizes in bytes."""

    bounds: tuple[bytes, ...]
    sizes: tuple[int, ...]


class KeyBuckets:
    """Buckets in a directory, for one writer."""

    def __init__(self, directory: Path, state: BucketState) -> None:
        self._directory = directory
        self.state = state

    @classmethod
    def like(cls, directory: Path, rows: Sequence[PackedRow]) -> "KeyBuckets":
        """Return empty buckets whose ranges are as full as those of these rows, which are sorted."""
        step = max(1, len(rows) // COUNT)
        bounds = tuple(key for key, _ in rows[step::step])
        return cls(directory, BucketState(bounds, (0,) * (len(bounds) + 1)))

    def added(self, rows: Sequence[PackedRow]) -> BucketState:
        """Put sorted rows aside, and return the state with them; they are not there before it is `state`.

        Raises StoreFull.
        """
        keys = [key for key, _ in rows]
        ends = [bisect.bisect_left(keys, bound) for bound in self.state.bounds]
        sizes = list(self.state.sizes)
        for number, (start, end) in enumerate(zip([0, *ends], [*ends, len(rows)], strict=True)):
            if start < end:
                sizes[number] += self._write(number, sizes[number], rows[start:end])
        return BucketState(self.state.bounds, tuple(sizes))

    def batches(self) -> Iterator[list[PackedRow]]:
        """Return all rows, bucket by bucket, in batches of bounded size; raises StoreDamaged."""
        for number, size in enumerate(self.state.sizes):
            if size:
                yield from self._read(number, size)

    def _path(self, number: int) -> Path:
        return self._directory / f"{BUCKET}{number}"

    def _write(self, number: int, at: int, rows: Sequence[PackedRow]) -> int:
        payload = msgspec.msgpack.encode(rows)
        data = _LENGTH.pack(len(payload)) + payload
        descriptor = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.pwrite(descriptor, data, at) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise StoreFull("rows cannot be written: the disk is full, or failing") from error
        finally:
            os.close(descriptor)
        return len(data)

    def _read(self, number: int, size: int) -> Iterator[list[PackedRow]]:
        batch: list[PackedRow] = []
        held = 0
        with open(self._path(number), "rb") as file:
            while file.tell() < size:
                try:
                    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
                    batch += _ROWS.decode(file.read(length))
                except (struct.error, msgspec.MsgspecError) as error:
                    raise StoreDamaged("the unfinished snapshot is damaged: load it anew") from error
                held += length
                if held >= BATCH_BYTES:
                    yield batch
                    batch, held = [], 0
        yield batch
