"""Rows of features in an existing Feast deployment on Redis, read as they are. Pure.

One HMGET for each entity and view. Freshness counts from the event time that Feast wrote beside the features.
A feature that is not there is missing; one that has another type than the view says is missing too, and the
row tells that it is damaged.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.feast.layout import (
    FeastJoinKey,
    FeastKeyType,
    event_time_field,
    feature_field,
    hash_key,
)
from driftgate.features.feast.protobuf_fields import BrokenMessage
from driftgate.features.feast.values import FeastValue, decode_timestamp, decode_value
from driftgate.features.lookup.store import Lookup
from driftgate.features.redis.replies import Command, Reply
from driftgate.features.redis.rows import DAMAGED, NOTHING, FoundRow
from driftgate.features.rows.codec import EntityRows, encode_rows
from driftgate.features.rows.layout import BLOCK_DTYPES, Array, RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import Fault
from driftgate.features.views.view import Feature, FeatureView

_KEY_TYPES = {"string": FeastKeyType.STRING, "int64": FeastKeyType.INT64}
_TYPES: dict[str, tuple[type, ...]] = {
    "float32": (float, int),
    "float64": (float, int),
    "int32": (int,),
    "int64": (int,),
    "bool": (bool,),
    "string": (str,),
}
_EMPTY = {"string": ""}


class _Cell(NamedTuple):
    """One feature of one entity; `value` stands for nothing unless it is neither null nor missing."""

    value: FeastValue = None
    null: bool = False
    missing: bool = False
    damaged: bool = False


_NEVER_WRITTEN = _Cell(missing=True)
_WRITTEN_AS_NULL = _Cell(null=True)
_UNUSABLE = _Cell(missing=True, damaged=True)


class _Entity(NamedTuple):
    """What Feast has of one entity of a view."""

    event_time_us: int
    cells: list[_Cell]


class _FeastView(NamedTuple):
    """What there is to know about a view before any entity of it is read."""

    keys: KeyCodec
    join_keys: tuple[FeastJoinKey, ...]
    fields: tuple[bytes, ...]


class FeastRedisRows:
    """Rows as Feast materialises them for one of its projects; implements RedisRows."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._views: dict[int, _FeastView] = {}

    def commands(self, lookups: Sequence[Lookup]) -> list[Command]:
        """See RedisRows."""
        return [command for lookup in lookups for command in self._commands(lookup)]

    def found(self, lookups: Sequence[Lookup], replies: Sequence[Reply]) -> list[FoundRow]:
        """See RedisRows."""
        found: list[FoundRow] = []
        for layout, keys in lookups:
            found += _rows(layout, replies[len(found) : len(found) + len(keys)])
        return found

    def _commands(self, lookup: Lookup) -> list[Command]:
        layout, keys = lookup
        view = self._views.get(layout.schema_id)
        if view is None:
            view = self._views[layout.schema_id] = _feast_view(layout.view)
        names = [hash_key(self._project, view.join_keys, view.keys.decode(key)) for key in keys]
        return [(b"HMGET", name, *view.fields) for name in names]


def _feast_view(view: FeatureView) -> _FeastView:
    join_keys = tuple(FeastJoinKey(key.name, _KEY_TYPES[key.dtype]) for key in view.join_keys)
    features = (feature_field(view.name, feature.name) for feature in view.features)
    return _FeastView(KeyCodec(view), join_keys, (*features, event_time_field(view.name)))


def _rows(layout: RowLayout, replies: Sequence[Reply]) -> list[FoundRow]:
    read = [_entity(layout, reply) for reply in replies]
    packed = iter(_packed(layout, [entity for _, entity in read if entity]))
    return [next(packed) if entity else row for row, entity in read]


def _entity(layout: RowLayout, reply: Reply) -> tuple[FoundRow, _Entity | None]:
    """Return what a reply says of an entity, or what to say instead if that is nothing."""
    if not isinstance(reply, list) or len(reply) != len(layout.places) + 1:
        return DAMAGED, None
    *contents, written = reply
    if written is None:
        return NOTHING, None
    try:
        event_time_us = decode_timestamp(written)
    except BrokenMessage:
        return DAMAGED, None
    if event_time_us <= 0:
        return DAMAGED, None
    cells = [_cell(feature, data) for feature, data in zip(layout.view.features, contents, strict=True)]
    return NOTHING, _Entity(event_time_us, cells)


def _cell(feature: Feature, data: bytes | None) -> _Cell:
    if data is None:
        return _NEVER_WRITTEN
    try:
        value = decode_value(data)
    except BrokenMessage:
        return _UNUSABLE
    if value is None:
        return _WRITTEN_AS_NULL
    values = value if isinstance(value, list) else [value]
    fits = isinstance(value, list) == (feature.length > 1) and len(values) == feature.length
    return _Cell(value) if fits and all(_is_of(feature.dtype, item) for item in values) else _UNUSABLE


def _is_of(dtype: str, value: object) -> bool:
    if type(value) not in _TYPES[dtype]:
        return False
    return dtype != "int32" or -(2**31) <= value < 2**31  # type: ignore[operator] # an int, as just seen


def _packed(layout: RowLayout, entities: Sequence[_Entity]) -> list[FoundRow]:
    columns, nulls = {}, {}
    for index, feature in enumerate(layout.view.features):
        cells = [entity.cells[index] for entity in entities]
        columns[feature.name] = _column(feature, cells)
        nulls[feature.name] = np.array([cell.null for cell in cells])
    times = np.array([entity.event_time_us for entity in entities], np.int64)
    packed = encode_rows(layout, EntityRows([b""] * len(entities), times, columns, nulls))
    return [_found(row, entity.cells) for row, entity in zip(packed, entities, strict=True)]


def _column(feature: Feature, cells: Sequence[_Cell]) -> Array:
    empty = _EMPTY.get(feature.dtype, 0)
    filler = [empty] * feature.length if feature.length > 1 else empty
    values = [filler if cell.null or cell.missing else cell.value for cell in cells]
    with np.errstate(over="ignore"):  # a double outside float32 is infinite, as in every other store
        return np.array(values, BLOCK_DTYPES[feature.dtype])


def _found(packed: bytes, cells: Sequence[_Cell]) -> FoundRow:
    missing = tuple(index for index, cell in enumerate(cells) if cell.missing)
    damaged = any(cell.damaged for cell in cells)
    return FoundRow(packed, missing, Fault.CORRUPT if damaged else None)
