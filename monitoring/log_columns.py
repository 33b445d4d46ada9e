"""Columns of a block: numpy arrays and texts to bytes and back, without loss. Pure.

Numbers are little-endian and contiguous; texts are offsets (uint32, one more than there are texts) and UTF-8
bytes; a column whose values are all the same text keeps it once. Every column begins at a multiple of 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np

from driftgate.monitoring.record import Array

Encoding = Literal["raw", "text", "same"]
ALIGNMENT = 8


class ColumnEntry(msgspec.Struct, frozen=True, array_like=True):
    """What the header of a block says of one column. `shape` is that of a row; `columns` name its elements.

    `role` is "request", or "input", "output" and "status" for the columns that count rows.
    """

    name: str
    role: Literal["request", "input", "output", "status"]
    encoding: Encoding
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    columns: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts in one buffer: number i is `data[offsets[i]:offsets[i + 1]]`; `shape` arranges them."""

    offsets: Array
    data: bytes
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def tolist(self) -> list[str]:
        """Return all texts, flat."""
        bounds = self.offsets.tolist()
        data = self.data
        return [data[start:stop].decode() for start, stop in pairwise(bounds)]

    def every(self, step: int, start: int) -> "Texts":
        """Return the texts at `start`, `start + step` and so on, as a flat column."""
        chosen = self.tolist()[start::step]
        return Texts(*_text_parts(encode_texts(chosen), len(chosen)), (len(chosen),))


Values = Array | Texts


def encode_texts(values: Sequence[Any]) -> bytes:
    """Return offsets and bytes of texts; what is not `str` is made one."""
    try:
        joined = "".join(values)
    except TypeError:
        values = [as_text(value) for value in values]
        joined = "".join(values)
    offsets = np.zeros(len(values) + 1, "<u4")
    if joined.isascii():
        data = joined.encode()
        np.cumsum(np.fromiter(map(len, values), "<u4", len(values)), out=offsets[1:])
    else:
        parts = [value.encode("utf-8", "backslashreplace") for value in values]
        data = b"".join(parts)
        np.cumsum(np.fromiter(map(len, parts), "<u4", len(parts)), out=offsets[1:])
    return offsets.tobytes() + data


def encode_array(array: Array) -> tuple[Encoding, str, bytes]:
    """Return encoding, dtype and bytes of an array of numbers, booleans or texts."""
    if array.dtype.kind in "OUST":
        return "text", "text", encode_texts(array.ravel().tolist())
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return "raw", little.dtype.str, little.tobytes()


def decode_column(entry: ColumnEntry, data: bytes | memoryview, count: int) -> Values:
    """Return the `count` rows of a column, as a view of `data` where they are numbers.

    Raises ValueError if the bytes are not such a column.
    """
    shape = (count, *entry.shape)
    if entry.encoding == "raw":
        return np.frombuffer(data, entry.dtype).reshape(shape)
    size = int(np.prod(shape))
    if entry.encoding == "same":
        return Texts(np.arange(size + 1, dtype="<u4") * len(data), bytes(data) * size, shape)
    return Texts(*_text_parts(data, size), shape)


def join(columns: Sequence[Values]) -> Values:
    """Return the rows of several columns of one kind as one column."""
    if len(columns) == 1:
        return columns[0]
    arrays = [column for column in columns if not isinstance(column, Texts)]
    texts = [column for column in columns if isinstance(column, Texts)]
    return _join_texts(texts) if texts else np.concatenate(arrays)


def repeat(column: Values, times: Array) -> Values:
    """Return a column in which row i stands `times[i]` times."""
    if not isinstance(column, Texts):
        return np.repeat(column, times, axis=0)
    sizes = np.diff(column.offsets.astype(np.int64))
    if not sizes.any():
        return Texts(np.zeros(int(times.sum()) + 1, "<u4"), b"", (int(times.sum()),))
    repeated = np.repeat(np.array(column.tolist(), object), times).tolist()
    return Texts(*_text_parts(encode_texts(repeated), len(repeated)), (len(repeated),))


def as_text(value: object) -> str:
    """Return a value as text; bytes that are not UTF-8 are escaped."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def padding(size: int) -> int:
    """Return how many zero bytes follow a column of `size` bytes."""
    return -size % ALIGNMENT


def _text_parts(data: bytes | memoryview, count: int) -> tuple[Array, bytes]:
    start = 4 * (count + 1)
    offsets, texts = np.frombuffer(data[:start], "<u4"), bytes(data[start:])
    if len(offsets) != count + 1 or offsets[-1] != len(texts):
        raise ValueError("the offsets of texts do not fit their bytes")
    return offsets, texts


def _join_texts(columns: Sequence[Texts]) -> Texts:
    ends = np.cumsum([0, *(len(column.data) for column in columns)])
    offsets = [column.offsets[:-1].astype(np.int64) + end for column, end in zip(columns, ends, strict=False)]
    rows = sum(len(column) for column in columns)
    return Texts(
        np.concatenate([*offsets, ends[-1:]]),
        b"".join(column.data for column in columns),
        (rows, *columns[0].shape[1:]),
    )
