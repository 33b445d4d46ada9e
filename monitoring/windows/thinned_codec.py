"""The bytes of thinned rows: counts, and of a pane that is open the rows that are held. Pure."""

import zlib

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.thinned_rows import HeldRows, ThinnedRows

_FAST = 1


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """`shapes` are those of the arrays, which are one after the other, compressed."""

    rows: int
    shapes: list[tuple[int, ...]]
    arrays: bytes


_TYPES = ("<i8", "<i8", "<u8", "<u8", "u1", "?")


def encode_thinned(thinned: ThinnedRows) -> bytes:
    """Return the bytes of thinned rows."""
    arrays = (thinned.counts, thinned.pairs, *thinned.held)
    data = b"".join(part.astype(kind).tobytes() for part, kind in zip(arrays, _TYPES, strict=True))
    return msgspec.msgpack.encode(
        _Stored(thinned.rows, [part.shape for part in arrays], zlib.compress(data, _FAST))
    )


def decode_thinned(data: bytes) -> ThinnedRows:
    """Return the thinned rows in some bytes; raises what msgspec, zlib and numpy do if they are none."""
    stored = msgspec.msgpack.decode(data, type=_Stored)
    left = memoryview(zlib.decompress(stored.arrays))
    arrays: list[Array] = []
    for shape, kind in zip(stored.shapes, _TYPES, strict=True):
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        arrays.append(np.frombuffer(left[:size], kind).reshape(shape).astype(kind.lstrip("<")))
        left = left[size:]
    return ThinnedRows(stored.rows, arrays[0], arrays[1], HeldRows(*arrays[2:]))
