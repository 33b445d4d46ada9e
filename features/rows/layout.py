"""Where everything lies in the packed row of a view; worked out once per view.

Little-endian, 8-byte aligned: schema id u64, check u64 (which also says whether the row is plain: has no
null and no NaN), event time i64 (µs), null bitmap (u64 each 64
features), then one block per dtype, which holds the elements of all features of that dtype side by side in
the order of the view. A string's element is the offset (u32) in the heap at which it ends; the CRC-32 of the
heap stands before them, and the heap follows the fixed part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from driftgate.features.views.view import FeatureView

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_DTYPES: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "int64": np.dtype("<i8"),
    "float32": np.dtype("<f4"),
    "int32": np.dtype("<i4"),
    "string": np.dtype("O"),
    "bool": np.dtype("?"),
}
"""The dtypes of a view's features, in the order of the blocks, as numpy holds their values."""

_WORD = 8
_BITS = 64
_HEADER_WORDS = 3
CHECK_WORD = 1
EVENT_TIME_OFFSET = 16
_STORED_STRING = np.dtype("<u4")
_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd (the golden ratio in 64 bits), so that its powers are odd and no change of one word goes unnoticed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a feature's elements are: columns `start` to `start + length` of the block `dtype`."""

    index: int
    dtype: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The packed row of one view.

    `record` reads the fixed part as a structured array with the fields `event_time_us`, `null_words` and
    one per block; `multipliers` (uint64, one per word) make the dot product with every sound row equal
    `plain_balance` if it is plain, else `balance`. `blank` is a row with event time 0: never written.
    `row_bytes` is the size of the fixed part; without string features, of the row.
    """

    view: FeatureView
    schema_id: int
    places: Mapping[str, Place]
    widths: Mapping[str, int]
    record: np.dtype[Any]
    multipliers: Array
    balance: int
    plain_balance: int
    blank: bytes
    row_bytes: int
    has_strings: bool

    @classmethod
    def of(cls, view: FeatureView) -> "RowLayout":
        """Return the layout of a view."""
        places, widths = _places(view)
        record = _record(len(view.features), widths)
        multipliers = _multipliers(record.itemsize // _WORD)
        layout = cls(
            view=view,
            schema_id=view.schema_id,
            places=places,
            widths=widths,
            record=record,
            multipliers=multipliers,
            balance=_balance(view.schema_id),
            plain_balance=_balance(view.schema_id) * _MULTIPLIER % 2**64,
            blank=b"",
            row_bytes=record.itemsize,
            has_strings="string" in widths,
        )
        blank = np.zeros(1, record)
        layout.seal(blank)
        object.__setattr__(layout, "blank", blank.tobytes())
        return layout

    def seal(self, records: Array) -> None:
        """Write schema id and check into packed records, in place."""
        words = self.words(records)
        words[:, 0] = self.schema_id
        words[:, CHECK_WORD] = 0
        balances = np.where(self._are_plain(records), np.uint64(self.plain_balance), np.uint64(self.balance))
        words[:, CHECK_WORD] = balances - words @ self.multipliers

    def are_sound(self, words: Array) -> Array:
        """Return which packed rows, uint64 [N, words], are what was written, bool [N]."""
        sums = words @ self.multipliers
        return np.asarray((sums == np.uint64(self.balance)) | (sums == np.uint64(self.plain_balance)))

    def are_plain(self, words: Array) -> bool:
        """Return whether all packed rows, uint64 [N, words], are what was written, without null and NaN."""
        # As bytes, because comparing two arrays takes three times as long.
        sums: bytes = words.dot(self.multipliers).tobytes()
        return sums == self.plain_balance.to_bytes(_WORD, "little") * len(words)

    def words(self, records: Array) -> Array:
        """Return a view of the records as uint64 [N, words]."""
        return records.view("<u8").reshape(-1, len(self.multipliers))

    def _are_plain(self, records: Array) -> Array:
        plain = ~records["null_words"].any(axis=1)
        for name in self.widths:
            if name.startswith("float"):
                plain &= ~np.isnan(records[name]).any(axis=1)
        return np.asarray(plain)


def _places(view: FeatureView) -> tuple[dict[str, Place], dict[str, int]]:
    widths = dict.fromkeys((name for name in BLOCK_DTYPES if any(f.dtype == name for f in view.features)), 0)
    places = {}
    for index, feature in enumerate(view.features):
        places[feature.name] = Place(index, feature.dtype, widths[feature.dtype], feature.length)
        widths[feature.dtype] += feature.length
    return places, widths


def _record(features: int, widths: Mapping[str, int]) -> np.dtype[Any]:
    null_words = -(-features // _BITS)
    names = ["event_time_us", "null_words"]
    formats: list[Any] = ["<i8", ("<u8", (null_words,))]
    offsets = [EVENT_TIME_OFFSET, _HEADER_WORDS * _WORD]
    at = (_HEADER_WORDS + null_words) * _WORD
    for name, width in widths.items():
        if name == "string":
            names.append("heap_check")
            formats.append(_STORED_STRING)
            offsets.append(at)
            at += _STORED_STRING.itemsize
        dtype = _STORED_STRING if name == "string" else BLOCK_DTYPES[name]
        names.append(name)
        formats.append((dtype, (width,)))
        offsets.append(at)
        at += dtype.itemsize * width
    itemsize = -(-at // _WORD) * _WORD
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})


def _multipliers(words: int) -> Array:
    powers = [pow(_MULTIPLIER, index, 2**64) for index in range(1, words + 1)]
    powers[CHECK_WORD] = 1
    return np.array(powers, np.uint64)


def _balance(schema_id: int) -> int:
    """Never 0, so that a row of zeros is not sound, and another one for each schema."""
    return pow(_MULTIPLIER, schema_id | 1, 2**64)
