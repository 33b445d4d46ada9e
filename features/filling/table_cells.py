"""Cells of Parquet and CSV as arrays of a feature's dtype. This and tables alone import pyarrow here.

Whole columns are converted at once; only a column with a cell that does not fit is looked at cell by cell.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftgate.features.views.view import Dtype

Array = np.ndarray[Any, np.dtype[Any]]

UNITS: Mapping[str, tuple[int, int]] = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}
"""Units of event times that are numbers: what they are multiplied with and divided by to be microseconds."""

_ARROW = {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}


@dataclass(frozen=True)
class Cells:
    """One column: values [N] or [N, length], which are null, and which do not fit. Others hold anything."""

    values: Array
    nulls: Array
    bad: Array


def read_cells(column: Any, dtype: Dtype, length: int = 1) -> Cells:
    """Return a column as `dtype`, vectors of `length` as rows. NaN is null; infinity does not fit."""
    column = _plain(column)
    if length > 1:
        return _vectors(column, dtype, length)
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    values, bad = _converted(column, dtype)
    if values.dtype.kind == "f":
        nulls |= np.isnan(values) & ~bad
        bad |= np.isinf(values)
    return Cells(values, nulls, bad & ~nulls)


def series_cells(series: Any, dtype: Dtype) -> Cells:
    """Return a pandas column as `dtype`, as `read_cells` does."""
    return read_cells(pa.Array.from_pandas(series), dtype)


def series_times_us(series: Any) -> Cells:
    """Return a pandas column of times in Unix microseconds, as `read_times_us` does."""
    return read_times_us(pa.Array.from_pandas(series), None)


def read_times_us(column: Any, unit: str | None) -> Cells:
    """Return event times in Unix microseconds; numbers are of `unit`, times without a zone are UTC.

    Every number is bad without a unit: nobody can tell seconds from milliseconds.
    """
    column = _plain(column)
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        stamps = pc.cast(column, pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        return Cells(_numbers(stamps.cast(pa.int64())), nulls, np.zeros(len(nulls), bool))
    if unit is not None:
        return _counted_times(column, *UNITS[unit])
    if pa.types.is_string(column.type):
        values, bad = _parsed_times(column)
        return Cells(values, nulls, bad & ~nulls)
    return Cells(np.zeros(len(nulls), np.int64), nulls, ~nulls)


def _counted_times(column: Any, factor: int, divisor: int) -> Cells:
    """Return times that are numbers; whole ones exactly."""
    cells = read_cells(column, "int64")
    if cells.bad.any():
        cells = read_cells(column, "float64")
    bad = cells.bad | (np.abs(cells.values / divisor * factor) >= 2.0**62)
    values = np.where(bad | cells.nulls, 0, cells.values)
    scaled = values * factor // divisor if values.dtype.kind == "i" else np.rint(values * factor / divisor)
    return Cells(scaled.astype(np.int64), cells.nulls, bad)


def _plain(column: Any) -> Any:
    """Return a column in one piece, without dictionaries and large offsets."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _converted(column: Any, dtype: Dtype) -> tuple[Array, Array]:
    """Return values, and which of them do not fit."""
    source = column.type
    good = np.zeros(len(column), bool)
    if dtype == "string":
        fits = pa.types.is_string(source)
        values = column.to_numpy(zero_copy_only=False) if fits else np.full(len(column), "", object)
        return values, good if fits else ~good
    if pa.types.is_string(source):
        return _parsed(column, dtype)
    if not _speaks(source, dtype):
        return np.zeros(len(column), dtype), ~good
    if dtype in ("float32", "float64"):
        with np.errstate(over="ignore"):
            return _floats(column).astype(dtype), good
    if dtype == "bool" and pa.types.is_boolean(source):
        return pc.fill_null(column, False).to_numpy(zero_copy_only=False), good
    return _whole(column, dtype)


def _speaks(source: Any, dtype: Dtype) -> bool:
    """Whether cells of an Arrow type can be of `dtype` at all."""
    if pa.types.is_boolean(source):
        return dtype == "bool"
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(source) for is_kind in numeric)


def _floats(column: Any) -> Array:
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _whole(column: Any, dtype: Dtype) -> tuple[Array, Array]:
    """Return whole numbers; of floats those that are whole, as pandas writes integers with gaps."""
    if pa.types.is_integer(column.type):
        numbers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    else:
        numbers = np.nan_to_num(_floats(column), nan=0.0, posinf=0.5, neginf=0.5)
    limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    bad = (numbers < limits[0]) | (numbers > limits[1])
    if numbers.dtype.kind == "f":
        bad |= (numbers != np.floor(numbers)) | (numbers >= 2.0**63)
    return np.where(bad, 0, numbers).astype(dtype), bad


def _parsed(column: Any, dtype: Dtype) -> tuple[Array, Array]:
    good = np.zeros(len(column), bool)
    try:
        parsed = pc.cast(column, _ARROW[dtype])
    except pa.ArrowInvalid:
        return _one_by_one(column, np.zeros(len(column), dtype), _PARSERS[dtype])
    if dtype in ("float32", "float64"):
        return np.asarray(parsed.to_numpy(zero_copy_only=False)), good
    return np.asarray(
        pc.fill_null(parsed, False if dtype == "bool" else 0).to_numpy(zero_copy_only=False)
    ), good


def _one_by_one(column: Any, values: Array, parse: Callable[[str], Any]) -> tuple[Array, Array]:
    bad = np.zeros(len(values), bool)
    for index, text in enumerate(column.to_pylist()):
        if text is not None:
            try:
                with np.errstate(over="ignore"):
                    values[index] = parse(text)
            except (ValueError, OverflowError, msgspec.MsgspecError):
                bad[index] = True
    return values, bad


def _float(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _int(text: str) -> int:
    """Return a whole number, also one that pandas wrote as a float because of a gap elsewhere."""
    if text.strip().lstrip("+-").isdecimal():
        return int(text)
    number = _float(text)
    if number != math.floor(number):
        raise ValueError(text)
    return int(number)


def _bool(text: str) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


_PARSERS: dict[str, Callable[[str], Any]] = {
    "float32": _float,
    "float64": _float,
    "int32": _int,
    "int64": _int,
    "bool": _bool,
}


def _parsed_times(column: Any) -> tuple[Array, Array]:
    good = np.zeros(len(column), bool)
    for zone in ("UTC", None):
        try:
            stamps = pc.cast(column, pa.timestamp("us", zone))
        except pa.ArrowInvalid:
            continue
        return _numbers(stamps.cast(pa.int64())), good
    return _one_by_one(column, np.zeros(len(column), np.int64), _time_us)


def _time_us(text: str) -> int:
    time = datetime.fromisoformat(text)
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return math.floor(aware.timestamp()) * 1_000_000 + aware.microsecond


def _numbers(column: Any) -> Array:
    return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False))


def _vectors(column: Any, dtype: Dtype, length: int) -> Cells:
    """Return lists as rows: null lists are null, those of another length or with a gap do not fit."""
    if pa.types.is_string(column.type):
        return _written_vectors(column, dtype, length)
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    values = np.zeros((len(column), length), _EMPTY[dtype])
    if not _is_list(column.type):
        return Cells(values, nulls, ~nulls)
    fits = _numbers(pc.list_value_length(column)) == length
    fits &= ~nulls
    whole = column.filter(pa.array(fits))
    inner = read_cells(whole.flatten(), dtype)
    values[fits] = inner.values.reshape(-1, length)
    holes = (inner.nulls | inner.bad).reshape(-1, length).any(axis=1)
    bad = ~fits
    bad[fits] = holes
    return Cells(values, nulls, bad & ~nulls)


def _is_list(source: Any) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(source) for is_kind in lists)


def _written_vectors(column: Any, dtype: Dtype, length: int) -> Cells:
    """Return vectors that are written as JSON, such as `[1.5, 2]`."""
    decoder = _DECODERS[dtype]

    def parse(text: str) -> Any:
        vector = decoder.decode(text)
        if len(vector) != length:
            raise ValueError(text)
        return np.array(vector, _EMPTY[dtype])

    values, bad = _one_by_one(column, np.zeros((len(column), length), _EMPTY[dtype]), parse)
    if values.dtype.kind == "f":
        bad |= ~np.isfinite(values).all(axis=1)
    return Cells(values, column.is_null().to_numpy(zero_copy_only=False), bad)


_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "float32": msgspec.json.Decoder(list[float]),
    "float64": msgspec.json.Decoder(list[float]),
    "int32": msgspec.json.Decoder(list[int]),
    "int64": msgspec.json.Decoder(list[int]),
    "bool": msgspec.json.Decoder(list[bool]),
    "string": msgspec.json.Decoder(list[str]),
}
_EMPTY: Mapping[str, Any] = {**{name: name for name in _DECODERS}, "string": object}
