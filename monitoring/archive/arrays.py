"""Columns of records as Arrow arrays: missing values, ids and hashes as text, times in UTC. Pure."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftgate.monitoring.log.columns import Categories, Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.log.records import RecordColumn

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_DASHES = (8, 13, 18, 23)


def array_of(column: RecordColumn) -> Any:
    """Return a column as it stands in Parquet."""
    values = column.values
    if isinstance(values, Texts):
        return _text_array(values, column.kind)
    if isinstance(values, Categories):
        return category_array(values, column.kind)
    match column.kind:
        case "time":
            return pa.array(values).cast(pa.timestamp("us", "UTC"))
        case "optional_time":
            return pa.array(values, mask=values == 0).cast(pa.timestamp("us", "UTC"))
        case "optional":
            return pa.array(values, mask=np.isnan(values) if values.dtype.kind == "f" else values < 0)
        case "id":
            return _fixed_text(_uuid_text(values))
        case "hash":
            return _hash_array(values)
        case "tensor":
            return _list_array(pa.array(_plain(values.reshape(-1))), values.shape)
        case _:
            return pa.array(_plain(values))


def _plain(values: Array) -> Array:
    """Half precision is known to few readers."""
    return values.astype("<f4") if values.dtype == np.float16 else values


def _text_array(values: Texts, kind: str) -> Any:
    count = len(values.offsets) - 1
    buffers = (pa.py_buffer(np.ascontiguousarray(values.offsets, "<i4")), pa.py_buffer(values.data))
    array = pa.StringArray.from_buffers(count, *buffers)
    return _list_array(array, values.shape) if kind == "tensor" else array


def category_array(values: Categories, kind: str = "text") -> Any:
    """Return texts of which there are few; the empty one is null if the column is optional."""
    texts = [text or None for text in values.texts] if kind == "optional_text" else values.texts
    if len(texts) == 1:
        return pa.repeat(pa.scalar(texts[0], pa.string()), len(values))
    return pa.array(texts, pa.string()).take(pa.array(values.codes))


def _list_array(flat: Any, shape: tuple[int, ...]) -> Any:
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape[1:], dtype=np.int64)))


def _hash_array(values: Array) -> Any:
    known = values.any(axis=1)
    if not known.any():
        return pa.nulls(len(values), pa.string())
    return pc.if_else(pa.array(known), _fixed_text(_hex(values)), pa.scalar(None, pa.string()))


def _hex(values: Array) -> Array:
    """Return the hexadecimal digits of rows of bytes, as rows of ASCII codes."""
    return np.stack([_HEX[values >> 4], _HEX[values & 15]], axis=2).reshape(len(values), -1)


def _uuid_text(values: Array) -> Array:
    text = np.full((len(values), 36), ord("-"), np.uint8)
    places = [place for place in range(36) if place not in _UUID_DASHES]
    text[:, places] = _hex(values)
    return text


def _fixed_text(codes: Array) -> Any:
    count, width = codes.shape
    offsets = np.arange(count + 1, dtype="<i4") * width
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(codes))
    )
