"""Panes as bytes: counts in planes of bytes, of which the high ones are nearly all zero, compressed. Pure."""

import zlib
from functools import partial

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.pane import CountedPane, Pane
from driftgate.monitoring.windows.pane_quality import QualityRecord, restored
from driftgate.monitoring.windows.thinned_codec import decode_thinned, encode_thinned
from driftgate.monitoring.windows.thinned_rows import ThinnedRows

FORMAT = 1


class InvalidPane(Exception):
    """Bytes that are no pane, or one of another format."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """`arrays`, compressed: counts, the upper triangle of the pairs, then sums, squares, lows and highs."""

    format: int
    rows: int
    late_rows: int
    features: int
    cells: int
    paired: int
    is_short: bool
    quality: QualityRecord
    arrays: bytes
    thinned: bytes = b""


def encode_pane(pane: Pane, sealed: bool) -> bytes:
    """Return the bytes of a pane. A sealed one keeps its moments in float32, and of new values the first."""
    upper = pane.pairs[np.triu_indices(len(pane.pairs))]
    moments = np.concatenate([pane.sums, pane.squares, pane.lows, pane.highs])
    with np.errstate(over="ignore"):
        floats = moments.astype("<f4" if sealed else "<f8")
    arrays = _planes(pane.counts) + _planes(upper) + floats.tobytes()
    return msgspec.msgpack.encode(
        _Stored(
            format=FORMAT,
            rows=pane.rows,
            late_rows=pane.late_rows,
            features=len(pane.sums),
            cells=len(pane.counts),
            paired=len(pane.pairs),
            is_short=sealed,
            quality=pane.quality.record(sealed),
            arrays=zlib.compress(arrays),
            thinned=encode_thinned(pane.thinned) if pane.thinned is not None else b"",
        )
    )


def decode_pane(data: bytes) -> Pane:
    """Return the pane in some bytes; raise InvalidPane if they are none."""
    try:
        stored = msgspec.msgpack.decode(data, type=_Stored)
        if stored.format != FORMAT:
            raise InvalidPane(f"a pane has format {stored.format}; this Driftgate reads {FORMAT}")
        return _decoded(stored)
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise InvalidPane(f"a stored pane cannot be read: {error}") from error


def decode_counts(data: bytes) -> CountedPane:
    """Return a pane without what takes most of the time; raise InvalidPane if the bytes are none."""
    try:
        stored = msgspec.msgpack.decode(data, type=_Stored)
        if stored.format != FORMAT:
            raise InvalidPane(f"a pane has format {stored.format}; this Driftgate reads {FORMAT}")
        planes = zlib.decompressobj().decompress(stored.arrays, 8 * stored.cells) if stored.cells else b""
        quality = restored(stored.quality)
        return CountedPane(
            stored.rows,
            stored.late_rows,
            _from_planes(planes),
            quality,
            partial(_sums, stored),
            partial(_thinned, stored),
        )
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise InvalidPane(f"a stored pane cannot be read: {error}") from error


def _thinned(stored: _Stored) -> ThinnedRows | None:
    return decode_thinned(stored.thinned) if stored.thinned else None


def _sums(stored: _Stored) -> Array:
    data = zlib.decompress(stored.arrays)
    width = 4 if stored.is_short else 8
    begin = len(data) - 4 * stored.features * width
    return np.frombuffer(data, f"<f{width}", stored.features, begin).astype(np.float64)


def _decoded(stored: _Stored) -> Pane:
    data = zlib.decompress(stored.arrays)
    side = stored.paired
    upper_size = side * (side + 1) // 2
    ends = 8 * stored.cells, 8 * (stored.cells + upper_size)
    floats = np.frombuffer(data[ends[1] :], "<f4" if stored.is_short else "<f8").astype(np.float64)
    sums, squares, lows, highs = floats.reshape(4, stored.features)
    return Pane(
        rows=stored.rows,
        late_rows=stored.late_rows,
        counts=_from_planes(data[: ends[0]]),
        pairs=_square(_from_planes(data[ends[0] : ends[1]]), side),
        sums=sums.copy(),
        squares=squares.copy(),
        lows=lows.copy(),
        highs=highs.copy(),
        quality=restored(stored.quality),
        thinned=_thinned(stored),
    )


def _planes(counts: Array) -> bytes:
    return np.ascontiguousarray(counts.astype("<i8").view(np.uint8).reshape(-1, 8).T).tobytes()


def _from_planes(data: bytes) -> Array:
    planes = np.frombuffer(data, np.uint8).reshape(8, -1)
    return np.ascontiguousarray(planes.T).view("<i8").reshape(-1).astype(np.int64)


def _square(upper: Array, side: int) -> Array:
    matrix = np.zeros((side, side), np.int64)
    matrix[np.triu_indices(side)] = upper
    return np.asarray(np.triu(matrix) + np.triu(matrix, 1).T)
