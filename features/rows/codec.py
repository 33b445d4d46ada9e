"""Packed rows: one per view and entity, written from columns and read back into columns, many at a time.

No value is touched by a Python loop unless the view has strings. What is damaged, or of another schema, is
never passed on: its row reads as never written, and `faults` says why.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from driftgate.features.errors import InvalidRows
from driftgate.features.rows.layout import BLOCK_DTYPES, EVENT_TIME_OFFSET, Array, RowLayout
from driftgate.features.views.status import Fault
from driftgate.features.views.view import Feature

NO_FAULTS: Mapping[int, Fault] = MappingProxyType({})
FUTURE_ALLOWANCE_US = 60_000_000
"""How far the clocks of those who write and those who read may lie apart: one minute."""


class EntityRows(NamedTuple):
    """Rows to be written, as columns.

    `keys` are canonical bytes (see `keys`), `event_time_us` int64 [N], > 0. `columns` has an array [N] or
    [N, length] for every feature of the view; strings in an object array. `nulls` (bool [N] by feature) marks
    what is written as null, whatever stands in the column; None in a column of strings is null too.
    """

    keys: Sequence[bytes]
    event_time_us: Array
    columns: Mapping[str, Array]
    nulls: Mapping[str, Array] = {}


class StoredRows(NamedTuple):
    """What a store has of N entities of one view; the same from every store.

    `event_time_us` is int64 [N], 0 where nothing was ever written. `blocks` has an array [N, width] for each
    dtype of the view, the features side by side as `layout.places` says. `nulls` and `missing` are bool
    [N, F] or None (nothing is); `missing` is for stores that can lack single features. `faults` tells by row
    why something could not be used; the event time of such a row is 0.
    """

    layout: RowLayout
    event_time_us: Array
    blocks: Mapping[str, Array]
    nulls: Array | None = None
    missing: Array | None = None
    faults: Mapping[int, Fault] = NO_FAULTS

    @property
    def columns(self) -> dict[str, Array]:
        """The values by feature, [N] or [N, length]; meaningless where there is none."""
        return columns_of(self.layout, self.blocks)


def columns_of(layout: RowLayout, blocks: Mapping[str, Array]) -> dict[str, Array]:
    """Return views of the blocks by feature: [N], or [N, length] for vectors."""
    return {
        name: blocks[place.dtype][:, place.start]
        if place.length == 1
        else blocks[place.dtype][:, place.start : place.start + place.length]
        for name, place in layout.places.items()
    }


def never_written(layout: RowLayout, count: int, fault: Fault | None = None) -> StoredRows:
    """Return `count` rows of which nothing is known, all for the same reason if there is one."""
    rows = decode_rows(layout, [None] * count)
    return rows._replace(faults=dict.fromkeys(range(count), fault)) if fault else rows


def encode_rows(layout: RowLayout, rows: EntityRows) -> list[bytes]:
    """Return the packed rows; raise InvalidRows that names the feature, and the row where one is to blame."""
    if not rows.keys:
        return []
    records = np.zeros(len(rows.keys), layout.record)
    records["event_time_us"] = _event_times(rows)
    null_cells = np.zeros((len(records), records["null_words"].shape[1] * 64), bool)
    strings: list[list[str]] = []
    for feature in layout.view.features:
        place = layout.places[feature.name]
        column = _column_of(feature, rows)
        null = _nulls_of(feature, rows, column)
        null_cells[:, place.index] = null
        if feature.dtype == "string":
            strings += _string_columns(feature, column, null)
        else:
            cells = records[feature.dtype][:, place.start : place.start + place.length]
            cells[:] = _numbers(feature, column, null)
    return pack_records(layout, records, null_cells, strings)


def pack_records(
    layout: RowLayout, records: Array, null_cells: Array, strings: Sequence[Sequence[str]]
) -> list[bytes]:
    """Return rows packed whose times and numbers are in `records` already; for those who have checked them.

    `null_cells` is bool [N, 64 for each null word]; `strings` has the texts of all rows by string element.
    """
    records["null_words"] = np.packbits(null_cells, axis=1, bitorder="little").view("<u8")
    heaps = _write_heaps(records, strings) if strings else None
    layout.seal(records)
    packed, size = records.tobytes(), layout.row_bytes
    fixed = [packed[at : at + size] for at in range(0, len(packed), size)]
    return [row + heap for row, heap in zip(fixed, heaps, strict=True)] if heaps else fixed


def decode_rows(layout: RowLayout, raw: Sequence[bytes | None]) -> StoredRows:
    """Return the rows that a store has found, None for an entity that it does not have; never raises."""
    rows = [layout.blank if row is None else row for row in raw]
    heads = [row[: layout.row_bytes] for row in rows] if layout.has_strings else rows
    records = sound_records(layout, heads)
    if records is None:
        return _decode_around_faults(layout, raw)
    blocks = {name: records[name] for name in layout.widths}
    if layout.has_strings:
        texts = _read_heaps(layout, records, rows)
        if texts is None:
            return _decode_around_faults(layout, raw)
        blocks["string"] = texts
    nulls = _null_cells(layout, records) if np.count_nonzero(records["null_words"]) else None
    return StoredRows(layout, records["event_time_us"], blocks, nulls)


def sound_records(layout: RowLayout, heads: Sequence[bytes]) -> Array | None:
    """Return the fixed parts of rows as records, or None if one of them is not what was written."""
    joined = b"".join(heads)
    if len(joined) != len(heads) * layout.row_bytes:
        return None
    return np.frombuffer(joined, layout.record) if layout.are_sound(_words(layout, joined)).all() else None


def plain_records(layout: RowLayout, rows: Sequence[bytes]) -> Array | None:
    """Return rows without strings as records, or None if one is not what was written, or has null or NaN."""
    joined = b"".join(rows)
    if len(joined) != len(rows) * layout.row_bytes:
        return None
    return np.frombuffer(joined, layout.record) if layout.are_plain(_words(layout, joined)) else None


def event_time_of(row: bytes) -> int:
    """Return the event time (µs) that stands in a packed row, 0 if the row is too short to have one."""
    return int.from_bytes(row[EVENT_TIME_OFFSET : EVENT_TIME_OFFSET + 8], "little", signed=True)


def fault_of(layout: RowLayout, row: bytes) -> Fault | None:
    """Return what is wrong with one packed row, None if it is sound."""
    if len(row) < layout.row_bytes:
        return Fault.CORRUPT if row[:8] == layout.blank[:8] or len(row) < 8 else Fault.WRONG_SCHEMA
    if row[:8] != layout.blank[:8]:
        return Fault.WRONG_SCHEMA
    if not layout.are_sound(_words(layout, row[: layout.row_bytes])).all():
        return Fault.CORRUPT
    if not layout.has_strings:
        return Fault.CORRUPT if len(row) != layout.row_bytes else None
    record = np.frombuffer(row[: layout.row_bytes], layout.record)
    return Fault.CORRUPT if _read_heaps(layout, record, [row]) is None else None


def _words(layout: RowLayout, rows: bytes) -> Array:
    return np.frombuffer(rows, np.uint64).reshape(-1, len(layout.multipliers))


def _decode_around_faults(layout: RowLayout, raw: Sequence[bytes | None]) -> StoredRows:
    found = [(index, fault_of(layout, row)) for index, row in enumerate(raw) if row is not None]
    faults = {index: fault for index, fault in found if fault}
    return decode_rows(layout, [None if index in faults else row for index, row in enumerate(raw)])._replace(
        faults=faults
    )


def _null_cells(layout: RowLayout, records: Array) -> Array:
    words = np.ascontiguousarray(records["null_words"])
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    return bits[:, : len(layout.places)].view(bool)


def _event_times(rows: EntityRows) -> Array:
    times = np.asarray(rows.event_time_us)
    if times.shape != (len(rows.keys),) or times.dtype.kind != "i":
        raise InvalidRows(f"event times: {len(rows.keys)} whole numbers (µs) are needed, one for each row")
    wrong = np.flatnonzero(times <= 0)
    if len(wrong):
        raise InvalidRows(f"row {wrong[0]}: an event time is after 1970, in µs; got {times[wrong[0]]}")
    return times


def _column_of(feature: Feature, rows: EntityRows) -> Array:
    column = rows.columns.get(feature.name)
    if column is None:
        raise InvalidRows(f"feature {feature.name!r} is not given; write null where it is not known")
    wanted = (len(rows.keys),) if feature.length == 1 else (len(rows.keys), feature.length)
    if column.shape != wanted:
        raise InvalidRows(
            f"feature {feature.name!r}: shape {list(wanted)} is needed, not {list(column.shape)}"
        )
    return column


def _nulls_of(feature: Feature, rows: EntityRows, column: Array) -> Array:
    null = rows.nulls.get(feature.name)
    null = np.zeros(len(rows.keys), bool) if null is None else np.asarray(null, bool)
    if null.shape != (len(rows.keys),):
        raise InvalidRows(f"feature {feature.name!r}: nulls need shape [{len(rows.keys)}]")
    if feature.dtype == "string" and feature.length == 1:
        null = null | np.array([value is None for value in column.tolist()], bool)
    return null


def _numbers(feature: Feature, column: Array, null: Array) -> Array:
    target = BLOCK_DTYPES[feature.dtype]
    cells = column.reshape(len(column), -1)
    if null.any():
        cells = np.where(null[:, None], target.type(0), cells)
    if not np.can_cast(cells.dtype, target, "same_kind"):
        raise InvalidRows(f"feature {feature.name!r}: {cells.dtype} values are not {feature.dtype}")
    if target.kind == "i" and cells.dtype != target:
        limits = np.iinfo(target)
        wrong = np.argwhere((cells < limits.min) | (cells > limits.max))
        if len(wrong):
            row, place = wrong[0]
            raise InvalidRows(f"feature {feature.name!r}, row {row}: {cells[row, place]} is outside {target}")
    with np.errstate(over="ignore"):
        return cells.astype(target)


def _string_columns(feature: Feature, column: Array, null: Array) -> Iterator[list[str]]:
    for cells in column.reshape(len(column), -1).T:
        texts = ["" if skip else text for text, skip in zip(cells.tolist(), null.tolist(), strict=True)]
        if any(type(text) is not str for text in texts):
            row = next(row for row, text in enumerate(texts) if type(text) is not str)
            raise InvalidRows(
                f"feature {feature.name!r}, row {row}: {type(texts[row]).__name__} is no string"
            )
        yield texts


def _write_heaps(records: Array, strings: Sequence[Sequence[str]]) -> list[bytes]:
    encoded = [[text.encode(errors="replace") for text in column] for column in strings]
    lengths = np.array([[len(text) for text in column] for column in encoded], np.int64).T
    records["string"] = np.cumsum(lengths, axis=1)
    heaps = [b"".join(texts) for texts in zip(*encoded, strict=True)]
    records["heap_check"] = [zlib.crc32(heap) for heap in heaps]
    return heaps


def _read_heaps(layout: RowLayout, records: Array, raw: Sequence[bytes | None]) -> Array | None:
    """Return the strings, object [N, width], or None if a heap is not the one that was written."""
    size, width = layout.row_bytes, layout.widths["string"]
    texts = np.empty((len(raw), width), object)
    checks, ends = records["heap_check"].tolist(), records["string"].tolist()
    for index, row in enumerate(raw):
        heap = row[size:] if row else b""
        if zlib.crc32(heap) != checks[index]:
            return None
        start = 0
        for column, end in enumerate(ends[index]):
            texts[index, column] = heap[start:end].decode(errors="replace")
            start = end
    return texts
