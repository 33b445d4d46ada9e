"""Rows that are pushed as JSON objects, checked against their view. Pure.

A row has the join keys, `event_time` and every feature of the view by name, null where a value is not known.
One wrong row refuses all: the sender then knows what is stored and what is not.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from driftgate.features.errors import InvalidKey, InvalidRows, TooManyRows
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US, EntityRows
from driftgate.features.rows.layout import Array
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import EVENT_TIME, MAX_TEXT_BYTES, Dtype, Feature, FeatureView

MAX_ROWS = 10_000
"""Of one push: the writer process makes each durable at once."""

_LARGEST = {name: float(np.finfo(name).max) for name in ("float32", "float64")}
_BLANK: dict[str, Any] = {"bool": False, "string": "", "int32": 0, "int64": 0, "float32": 0.0, "float64": 0.0}
_NUMPY: dict[str, Any] = {name: object if name == "string" else name for name in _BLANK}
_SHOWN = 40
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"\s*(:?)', re.DOTALL)
"""A whole string of JSON, and the colon that makes it a name."""


class PushedRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a push."""

    rows: tuple[dict[str, Any], ...]


class PushReader:
    """Reads pushes to one view."""

    def __init__(self, view: FeatureView) -> None:
        self._view = view
        self._codec = KeyCodec(view)
        self._join_keys = tuple(key.name for key in view.join_keys)
        self._names = frozenset({*self._join_keys, EVENT_TIME, *(feature.name for feature in view.features)})

    def read(self, body: bytes, now_us: int) -> EntityRows:
        """Return the rows of a JSON body `{"rows": [...]}`; an event after `now_us` is refused.

        Raises InvalidRows that names row (from 0) and field, or TooManyRows.
        """
        try:
            rows = msgspec.json.decode(body, type=PushedRows).rows
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise InvalidRows(
                f'the body must be JSON such as {{"rows": [{{...}}]}}: {_plain(error)}'
            ) from error
        found = self._rows(rows, now_us)
        if _names_in(body) != 1 + len(rows) * len(self._names):
            raise InvalidRows(self._named_twice(body))
        return found

    def _rows(self, rows: Sequence[dict[str, Any]], now_us: int) -> EntityRows:
        if not rows:
            raise InvalidRows("the push has no rows")
        if len(rows) > MAX_ROWS:
            raise TooManyRows(f"a push has at most {MAX_ROWS} rows, this one has {len(rows)}")
        keys: list[bytes] = []
        times = np.empty(len(rows), np.int64)
        for number, row in enumerate(rows):
            self._check_names(number, row)
            keys.append(self._key(number, row))
            times[number] = _time_us(number, row[EVENT_TIME], now_us)
        columns = {feature.name: _column(feature, rows) for feature in self._view.features}
        nulls = {name: nulls for name, (_, nulls) in columns.items() if nulls.any()}
        return EntityRows(keys, times, {name: values for name, (values, _) in columns.items()}, nulls)

    def _check_names(self, number: int, row: dict[str, Any]) -> None:
        if row.keys() == self._names:
            return
        missing, unknown = sorted(self._names - row.keys()), sorted(row.keys() - self._names)
        if missing:
            hint = (
                "" if missing[0] in (EVENT_TIME, *self._join_keys) else "; write null where it is not known"
            )
            raise InvalidRows(f"row {number}: {missing[0]!r} is missing{hint}")
        raise InvalidRows(
            f"row {number}: {unknown[0][:_SHOWN]!r} is no feature of the view {self._view.name}"
        )

    def _named_twice(self, body: bytes) -> str:
        """Return what is wrong with sound rows of which parsing has dropped values."""
        parts = msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["rows"]
        for number, part in enumerate(parts):
            if _names_in(bytes(part)) != len(self._names):
                return f"row {number}: a name is there twice"
        return "the body must be one object with 'rows' once"

    def _key(self, number: int, row: dict[str, Any]) -> bytes:
        try:
            return self._codec.encode([row[name] for name in self._join_keys])
        except InvalidKey as error:
            raise InvalidRows(f"row {number}: {error}") from error


def _names_in(text: bytes) -> int:
    """Return how many names stand in the objects of a JSON text."""
    return sum(map(len, _STRING.findall(text)))


def _time_us(number: int, value: Any, now_us: int) -> int:
    try:
        time = datetime.fromisoformat(value)
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        seconds = math.floor(aware.timestamp())
    except (TypeError, ValueError, OverflowError) as error:
        example = "2026-01-31T12:00:00Z"
        raise InvalidRows(f"row {number}, {EVENT_TIME}: a time such as {example!r} is needed") from error
    time_us = seconds * 1_000_000 + aware.microsecond
    if not 0 < time_us <= now_us + FUTURE_ALLOWANCE_US:
        raise InvalidRows(f"row {number}, {EVENT_TIME}: {value} is not between 1970 and now")
    return time_us


def _column(feature: Feature, rows: Sequence[dict[str, Any]]) -> tuple[Array, Array]:
    """Return the values of a feature, and which of them are null."""
    given = [row[feature.name] for row in rows]
    nulls = np.array([value is None for value in given], bool)
    blank = _BLANK[feature.dtype] if feature.length == 1 else [_BLANK[feature.dtype]] * feature.length
    for number, value in enumerate(given):
        if value is None:
            given[number] = blank
        else:
            _check_value(feature, number, value)
    shape = (len(rows),) if feature.length == 1 else (len(rows), feature.length)
    values = np.empty(shape, _NUMPY[feature.dtype])
    values[:] = given
    return values, nulls


def _check_value(feature: Feature, number: int, value: Any) -> None:
    if feature.length == 1:
        wrong = not _fits(value, feature.dtype)
        wanted: str = feature.dtype
    else:
        listed = isinstance(value, list) and len(value) == feature.length
        wrong = not listed or not all(_fits(element, feature.dtype) for element in value)
        wanted = f"list of {feature.length} {feature.dtype}"
    if wrong:
        limit = f" of at most {MAX_TEXT_BYTES} bytes" if feature.dtype == "string" else ""
        raise InvalidRows(f"row {number}, {feature.name!r}: {_shown(value)} is no {wanted}{limit}")


def _fits(value: Any, dtype: Dtype) -> bool:
    match dtype:
        case "string":
            return isinstance(value, str) and len(value.encode(errors="replace")) <= MAX_TEXT_BYTES
        case "bool":
            return isinstance(value, bool)
        case "int32" | "int64":
            limits = np.iinfo(dtype)
            return type(value) is int and limits.min <= value <= limits.max
    return type(value) in (int, float) and abs(value) <= _LARGEST[dtype]


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _plain(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
