"""What a data frame says about a model's columns: names, datatypes, categories, which may be missing."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from driftgate.models.errors import ConversionError, InvalidInput
from driftgate.models.run.runtime import Array
from driftgate.models.schema.manifest import Column, Label
from driftgate.models.schema.signature import DATATYPES, Signature

MISSING_TOKEN = "<missing>"  # noqa: S105 - a word for a missing string, no secret
"""What a missing string becomes unless the columns declare another token."""

MAX_CATEGORIES = 256
"""More different strings than this are free text or identifiers, whose list would tell nobody anything."""


def frame_columns(frame: pd.DataFrame, double: bool = False) -> tuple[Column, ...]:
    """Return one column, and one input tensor of its name, per column of the frame.

    Floats become FP32 (FP64 with `double`), whole numbers INT64, booleans BOOL, text BYTES; whole numbers and
    booleans with missing values become floats. Raises ConversionError for a column of any other kind.
    """
    return tuple(_column(str(name), frame[name], double) for name in frame.columns)


def with_token(column: Column) -> Column:
    """Return a text column that may be missing with a missing token, if it has none."""
    if column.datatype != "BYTES" or not column.missing or column.missing_token is not None:
        return column
    return msgspec.structs.replace(column, missing_token=_free_token(column.categories or ()))


def signature_columns(inferred: Sequence[Column], frame: pd.DataFrame) -> tuple[Column, ...]:
    """Return the columns that a frame gives a graph whose signature alone gives those `inferred`.

    Inputs of one column are looked up by name; the elements of a matrix by name too or, where the frame has
    just as many columns left, in its order. Datatypes stay the graph's. Raises InvalidInput if neither fits.
    """
    own = [column.name for column in inferred]
    if set(own) <= set(frame.columns):
        names = own
    else:
        singles = {column.name for column in inferred if column.index is None}
        rest = [str(name) for name in frame.columns if name not in singles]
        elements = [name for name in own if name not in singles]
        if len(rest) != len(elements) or not singles <= set(frame.columns):
            raise InvalidInput(
                f"examples or reference: it has columns {list(frame.columns)}, "
                f"and the model takes {len(own)}: {own}"
            )
        places = dict(zip(elements, rest, strict=True))
        names = [places.get(name, name) for name in own]
    return tuple(_as_graph(column, frame[name], name) for column, name in zip(inferred, names, strict=True))


def signature_feeds(signature: Signature, columns: Sequence[Column], frame: pd.DataFrame) -> dict[str, Array]:
    """Return the input tensors of the frame for the columns of a graph; raises as `frame_feeds` does."""
    _check_present(columns, frame)
    feeds = {}
    for spec in signature.inputs:
        own = sorted((c for c in columns if c.input == spec.name), key=lambda column: column.index or 0)
        if not own:
            raise InvalidInput(
                f"input {spec.name!r} of shape {list(spec.shape)} has no columns: give examples as arrays by "
                "input name (.npz)"
            )
        tensor = np.stack([_tensor(frame[column.name], column) for column in own], axis=1)
        feeds[spec.name] = tensor if len(spec.shape) > 1 else tensor[:, 0]
    return feeds


def matrix_columns(names: Sequence[str], matrix: Array, input_name: str, double: bool) -> tuple[Column, ...]:
    """Return the columns of one input that holds `matrix`, whose rows are values called `names`."""
    datatype = "FP64" if double else "FP32"
    missing = [bool(np.isnan(values).any()) for values in matrix.astype(np.float64).T]
    if matrix.shape[1] == 1:
        return (Column(names[0], input_name, datatype, missing=missing[0]),)
    return tuple(
        Column(name, input_name, datatype, index=place, missing=missing[place])
        for place, name in enumerate(names)
    )


def frame_feeds(frame: pd.DataFrame, columns: Sequence[Column]) -> dict[str, Array]:
    """Return the input tensors [rows, 1] of the frame for columns that are inputs of their own.

    Raises InvalidInput naming the column that is absent or that holds a missing value it may not hold.
    """
    _check_present(columns, frame)
    return {column.input: _tensor(frame[column.name], column).reshape(-1, 1) for column in columns}


def missing_kinds(frame: pd.DataFrame) -> frozenset[str]:
    """Return what stands for missing text in the frame: of `None` and `NaN` those that occur."""
    kinds: set[str] = set()
    for name in frame.columns:
        series = frame[name]
        if pd.api.types.is_numeric_dtype(series):
            continue
        missing = series[series.isna()].astype(object)
        kinds |= {"None" if value is None else "NaN" for value in missing}
    return frozenset(kinds)


def frame_sha256(frame: pd.DataFrame) -> str:
    """Return a SHA-256 of names, dtypes and values in order: the same data give the same hash anywhere."""
    digest = hashlib.sha256()
    for name in frame.columns:
        digest.update(f"{name}\0{frame[name].dtype}\0".encode())
        digest.update(pd.util.hash_pandas_object(frame[name], index=False).to_numpy().astype("<u8").tobytes())
    return digest.hexdigest()


def _check_present(columns: Sequence[Column], frame: pd.DataFrame) -> None:
    for column in columns:
        if column.name not in frame.columns:
            raise InvalidInput(f"the rows lack column {column.name!r}; they have {list(frame.columns)[:10]}")


def _as_graph(column: Column, series: "pd.Series[Any]", name: str) -> Column:
    seen = _column(name, series, double=False)
    return msgspec.structs.replace(seen, input=column.input, index=column.index, datatype=column.datatype)


def _column(name: str, series: "pd.Series[Any]", double: bool) -> Column:
    missing = bool(series.isna().any())
    datatype = _datatype(name, series, missing, double)
    if datatype != "BYTES":
        return Column(name, name, datatype, missing=missing)
    found = sorted({str(value) for value in series.dropna().unique()})
    return Column(
        name,
        name,
        datatype,
        categories=tuple(found) if 0 < len(found) <= MAX_CATEGORIES else None,
        missing=missing,
        missing_token=_free_token(found) if missing else None,
    )


def _datatype(name: str, series: "pd.Series[Any]", missing: bool, double: bool) -> str:
    values = series.cat.categories.to_series() if isinstance(series.dtype, pd.CategoricalDtype) else series
    floating = "FP64" if double else "FP32"
    if pd.api.types.is_bool_dtype(values):
        return floating if missing else "BOOL"
    if pd.api.types.is_integer_dtype(values):
        return floating if missing else "INT64"
    if pd.api.types.is_float_dtype(values):
        return floating
    if all(isinstance(value, str) for value in values.dropna()):
        return "BYTES"
    raise ConversionError(
        f"column {name!r} has dtype {series.dtype}: a model takes numbers, booleans and text. Turn dates "
        "into numbers (for example hour, weekday) and give mixed columns one type before fitting."
    )


def _free_token(found: Sequence[Label]) -> str:
    token = MISSING_TOKEN
    while token in found:
        token = f"<{token}>"
    return token


def _tensor(series: "pd.Series[Any]", column: Column) -> Array:
    dtype = DATATYPES[column.datatype].dtype
    missing = series.isna().to_numpy()
    if missing.any() and not column.missing:
        raise InvalidInput(
            f"column {column.name!r}, row {int(missing.argmax())}: a missing value, and its `missing` is "
            "false; give data with missing values as reference, or set it in columns"
        )
    if column.datatype == "BYTES":
        return _texts(series, missing, column)
    try:
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan) if missing.any() else series.to_numpy()
        converted: Array = numbers.astype(dtype)
        faithful = dtype.kind == "f" or np.array_equal(converted, numbers)
    except (TypeError, ValueError):
        faithful = False
    if not faithful:
        raise InvalidInput(
            f"column {column.name!r} holds {series.dtype} values that are no {column.datatype}"
        )
    return converted


def _texts(series: "pd.Series[Any]", missing: Array, column: Column) -> Array:
    values = series.astype(object).to_numpy(dtype=object, copy=True)
    if missing.any() and column.missing_token is None:
        raise InvalidInput(
            f"column {column.name!r}: text that may be missing needs a `missing_token`, the text that stands "
            "for a missing value"
        )
    values[missing] = column.missing_token
    return values
