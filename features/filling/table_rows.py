"""Rows of a file as rows of a view: what fits is taken, what does not is rejected with its reason. Pure.

A row is rejected as a whole: half of what was meant to be stored would look like what was meant.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from driftgate.features.errors import InvalidKey
from driftgate.features.filling.table_cells import Array, Cells, read_cells, read_times_us
from driftgate.features.filling.tables import Chunk, InvalidTable
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US, EntityRows
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import EVENT_TIME, MAX_TEXT_BYTES, Feature, FeatureView


class Rejected(NamedTuple):
    """One row that was not taken: its number in the file, from 1, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class FileShape:
    """How a file says what: the column of the event time, and its unit if it holds numbers."""

    event_time: str = EVENT_TIME
    event_time_unit: str | None = None


class ReadRows(NamedTuple):
    """What became of a chunk: rows to write, those rejected, and NaN taken as null by feature.

    `join_keys` are the keys of the rows by name, as they were in the file.
    """

    rows: EntityRows
    join_keys: dict[str, Array]
    rejected: tuple[Rejected, ...]
    nan_as_null: Counter[str]


class RowReader:
    """Reads the rows of one view from chunks of one file."""

    def __init__(self, view: FeatureView, shape: FileShape) -> None:
        self._view = view
        self._shape = shape
        self._codec = KeyCodec(view)
        self.columns = (
            *(key.name for key in view.join_keys),
            shape.event_time,
            *(feature.name for feature in view.features),
        )

    def check_columns(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the columns that are not used; raise InvalidTable naming those that are missing or twice."""
        names = list(given)
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise InvalidTable(
                f"the file has no column {', '.join(map(repr, missing))}; the view {self._view.name} "
                f"needs the columns {', '.join(self.columns)}"
            )
        twice = [name for name in self.columns if names.count(name) > 1]
        if twice:
            raise InvalidTable(f"the file has the column {twice[0]!r} twice")
        return tuple(name for name in names if name not in self.columns)

    def read(self, chunk: Chunk, now_us: int) -> ReadRows:
        """Return what fits and what does not; an event after `now_us` (µs since 1970) does not."""
        reasons = np.full(len(chunk.numbers), "", object)
        parts = {key.name: read_cells(chunk.table[key.name], key.dtype) for key in self._view.join_keys}
        keys = self._keys(parts, reasons)
        times = self._times(chunk, reasons, now_us)
        cells = {feature.name: self._cells(chunk, feature, reasons) for feature in self._view.features}
        good = _without_reason(reasons)
        rejected = [Rejected(*line) for line in chunk.broken]
        rejected += map(Rejected, chunk.numbers[~good].tolist(), reasons[~good].tolist())
        return ReadRows(
            _taken(good, keys, times, cells),
            {name: part.values[good] for name, part in parts.items()},
            tuple(sorted(rejected)),
            Counter(dict(_counts_of_nan(chunk, cells, good))),
        )

    def _keys(self, parts: dict[str, Cells], reasons: Array) -> list[bytes]:
        for key in self._view.join_keys:
            _note(reasons, parts[key.name].nulls, f"join key {key.name} is missing")
            _note(reasons, parts[key.name].bad, f"join key {key.name} is no {key.dtype}")
        keys, encode = [b""] * len(reasons), self._codec.encode
        rows = zip(*(cells.values.tolist() for cells in parts.values()), strict=True)
        for index, values in enumerate(rows):
            try:
                keys[index] = encode(values)
            except InvalidKey as error:
                reasons[index] = reasons[index] or str(error)
        return keys

    def _times(self, chunk: Chunk, reasons: Array, now_us: int) -> Array:
        cells = read_times_us(chunk.table[self._shape.event_time], self._shape.event_time_unit)
        _note(reasons, cells.nulls, "event time is missing")
        _note(reasons, cells.bad, "event time is no time; if it is a number, say its unit")
        _note(reasons, cells.values <= 0, "event time is not after 1970")
        _note(reasons, cells.values > now_us + FUTURE_ALLOWANCE_US, "event time is in the future")
        return cells.values

    def _cells(self, chunk: Chunk, feature: Feature, reasons: Array) -> Cells:
        cells = read_cells(chunk.table[feature.name], feature.dtype, feature.length)
        wanted = feature.dtype if feature.length == 1 else f"list of {feature.length} {feature.dtype}"
        _note(reasons, cells.bad, f"{feature.name} is no {wanted}, or beyond its range")
        if feature.dtype == "string":
            too_long = _too_long(cells)
            _note(reasons, too_long, f"{feature.name} is longer than {MAX_TEXT_BYTES} bytes")
        return cells


def _note(reasons: Array, rows: Array, reason: str) -> None:
    """Give rows without a reason this one."""
    if rows.any():
        reasons[rows & _without_reason(reasons)] = reason


def _without_reason(reasons: Array) -> Array:
    return np.asarray(reasons == "", bool)


def _too_long(cells: Cells) -> Array:
    def longest(texts: Sequence[object]) -> int:
        return max((len(text.encode(errors="replace")) for text in texts if isinstance(text, str)), default=0)

    rows = cells.values.reshape(len(cells.values), -1).tolist()
    return np.array([longest(texts) > MAX_TEXT_BYTES for texts in rows], bool)


def _taken(good: Array, keys: list[bytes], times: Array, cells: dict[str, Cells]) -> EntityRows:
    if not good.all():
        keys = [key for key, fits in zip(keys, good.tolist(), strict=True) if fits]
    return EntityRows(
        keys,
        times[good],
        {name: column.values[good] for name, column in cells.items()},
        {name: column.nulls[good] for name, column in cells.items() if column.nulls.any()},
    )


def _counts_of_nan(chunk: Chunk, cells: dict[str, Cells], good: Array) -> Iterable[tuple[str, int]]:
    for name, column in cells.items():
        written: Any = chunk.table[name].is_null().to_numpy(zero_copy_only=False)
        count = int((column.nulls & ~written & good).sum())
        if count:
            yield name, count
