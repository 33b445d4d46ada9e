"""Columns of a block: numpy arrays and texts to bytes and back, without loss. Pure.

Numbers are little-endian and contiguous; texts are offsets (uint32, one more than there are texts) and UTF-8
bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, Literal

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array

Encoding = Literal["raw", "text"]
Data = bytes | memoryview


class TensorEntry(msgspec.Struct, frozen=True, array_like=True):
    """What a block says of one column of its rows. `shape` is that of a row; `columns` name its elements."""

    name: str
    role: Literal["input", "output", "status", "event_time"]
    encoding: Encoding
    dtype: str
    shape: tuple[int, ...]
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
        return texts_of_list(self.tolist()[start::step])


@dataclass(frozen=True, slots=True)
class Categories:
    """Texts of which there are few: number i is `texts[codes[i]]`."""

    codes: Array
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def tolist(self) -> list[str]:
        """Return all texts."""
        return [self.texts[code] for code in self.codes.tolist()]


Values = Array | Texts | Categories


def holds_texts(dtype: "np.dtype[Any]") -> bool:
    """Tell whether values of a type are written as texts."""
    return dtype.kind in "OUST"


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


def texts_of_list(values: Sequence[Any]) -> Texts:
    """Return texts as a flat column."""
    return Texts(*_text_parts(encode_texts(values), len(values)), (len(values),))


def encoding_of(dtype: "np.dtype[Any]") -> tuple[Encoding, str]:
    """Return how values of a type are written, and the type that they have when they are read."""
    return ("text", "text") if holds_texts(dtype) else ("raw", dtype.newbyteorder("<").str)


def encode_array(array: Array) -> bytes:
    """Return the bytes of an array of numbers, booleans or texts."""
    if holds_texts(array.dtype):
        return encode_texts(array.ravel().tolist())
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def join(entry: TensorEntry, parts: Sequence[tuple[Data, int]]) -> Values:
    """Return the rows of a column that is in several parts (bytes, number of rows), one after the other.

    Raises ValueError if the bytes are not such a column.
    """
    shape = (sum([rows for _, rows in parts]), *entry.shape)
    if entry.encoding == "raw":
        return np.frombuffer(b"".join([data for data, _ in parts]), entry.dtype).reshape(shape)
    width = prod(entry.shape)
    return _join_texts([_text_parts(data, rows * width) for data, rows in parts], shape)


def are_texts(data: Data, count: int) -> bool:
    """Tell whether bytes are so many texts, by where the last one ends."""
    start = 4 * (count + 1)
    return len(data) >= start and int.from_bytes(data[start - 4 : start], "little") == len(data) - start


def categories(columns: Iterable[tuple[str | Sequence[str], int]]) -> Categories:
    """Return columns one after the other, each a list, or one text that stands so many times."""
    known: dict[str, int] = {}
    codes: list[int] = []
    times: list[int] = []
    last: object = None
    for texts, count in columns:
        if texts is last:
            times[-1] += count
        elif isinstance(texts, str):
            last = texts
            codes.append(known.setdefault(texts, len(known)))
            times.append(count)
        else:
            last = None
            codes += [known.setdefault(text, len(known)) for text in texts]
            times += [1] * count
    return Categories(np.repeat(np.array(codes, np.int32), times), tuple(known))


def repeat(column: Values, times: Array) -> Values:
    """Return a column in which row i stands `times[i]` times."""
    if isinstance(column, Categories):
        return Categories(np.repeat(column.codes, times), column.texts)
    if not isinstance(column, Texts):
        return np.repeat(column, times, axis=0)
    return texts_of_list(np.repeat(np.array(column.tolist(), object), times).tolist())


def as_text(value: object) -> str:
    """Return a value as text; bytes that are not UTF-8 are escaped."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def _text_parts(data: Data, count: int) -> tuple[Array, bytes]:
    if not are_texts(data, count):
        raise ValueError("the offsets of texts do not fit their bytes")
    start = 4 * (count + 1)
    return np.frombuffer(data[:start], "<u4"), bytes(data[start:])


def _join_texts(parts: Sequence[tuple[Array, bytes]], shape: tuple[int, ...]) -> Texts:
    if len(parts) == 1:
        return Texts(*parts[0], shape)
    ends = np.cumsum([0, *(len(data) for _, data in parts)])
    offsets = [one[:-1].astype(np.int64) + end for (one, _), end in zip(parts, ends, strict=False)]
    return Texts(np.concatenate([*offsets, ends[-1:]]), b"".join([data for _, data in parts]), shape)
