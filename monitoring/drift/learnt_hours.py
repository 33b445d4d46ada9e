"""The hours of the week that a version is judged by, learnt from stored windows, and their bytes. Pure."""

import zlib
from collections.abc import Iterable

import msgspec
import numpy as np

from driftgate.monitoring.drift.dependence import pair_offsets, pairs_of
from driftgate.monitoring.drift.e_detector import rows_of
from driftgate.monitoring.drift.seasons import HOURS, SeasonalReference, hour_of_week
from driftgate.monitoring.drift.watch import Seasons, judged_cells
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.pane import Pane

FORMAT = 1


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """Arrays are int64, little-endian, one after the other and compressed."""

    format: int
    utc_offset_s: int
    cells: bytes
    pairs: bytes


def learnt_hours(
    profile: ReferenceProfile, windows: Iterable[tuple[int, Pane]], utc_offset_s: int
) -> Seasons:
    """Return the hours of windows that began then (Unix microseconds), counted with this profile."""
    offsets = profile.offsets()
    cells, pairs = _empty(profile)
    judged = judged_cells(profile)
    for start_us, pane in windows:
        hour = hour_of_week(start_us, utc_offset_s)
        counts = pane.counts * judged
        cells.update(hour, counts, rows_of(counts, offsets))
        if pairs is not None:
            counts = pairs_of(pane.pairs)
            pairs.update(hour, counts, np.full(len(counts), pane.rows))
    return Seasons(cells, pairs, utc_offset_s)


def encode_hours(seasons: Seasons) -> bytes:
    """Return the bytes of learnt hours."""
    pairs = _packed(seasons.pairs) if seasons.pairs is not None else b""
    return msgspec.msgpack.encode(_Stored(FORMAT, seasons.utc_offset_s, _packed(seasons.cells), pairs))


def decode_hours(profile: ReferenceProfile, data: bytes) -> Seasons:
    """Return learnt hours of a profile; raise ValueError if the bytes are none of its."""
    try:
        stored = msgspec.msgpack.decode(data, type=_Stored)
        cells, pairs = _empty(profile)
        _unpack(stored.cells, cells)
        if pairs is not None:
            _unpack(stored.pairs, pairs)
    except (msgspec.MsgspecError, zlib.error) as error:
        raise ValueError(f"learnt hours cannot be read: {error}") from error
    return Seasons(cells, pairs, stored.utc_offset_s)


def _empty(profile: ReferenceProfile) -> tuple[SeasonalReference, SeasonalReference | None]:
    paired = len(profile.pairs.features)
    pairs = SeasonalReference(pair_offsets(paired)) if paired > 1 else None
    return SeasonalReference(profile.offsets()), pairs


def _packed(reference: SeasonalReference) -> bytes:
    both = np.hstack([reference.counts, reference.rows]).astype("<i8")
    return zlib.compress(both.tobytes(), 1)


def _unpack(data: bytes, into: SeasonalReference) -> None:
    both: Array = np.frombuffer(zlib.decompress(data), "<i8").reshape(HOURS, -1)
    cells = into.counts.shape[1]
    if both.shape[1] != cells + into.rows.shape[1]:
        raise ValueError("learnt hours are of another reference")
    into.counts[:], into.rows[:] = both[:, :cells], both[:, cells:]
