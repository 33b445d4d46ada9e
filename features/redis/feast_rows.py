"""Rows of features in an existing Feast deployment on Redis, read as they are. Pure.

One HMGET for each entity and view. Freshness counts from the event time that Feast wrote beside the features.
A feature that is not there is missing; one that has another type than the view says is missing too, and the
row tells that it is damaged.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

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
from driftgate.features.rows.codec import pack_records
from driftgate.features.rows.layout import BLOCK_DTYPES, RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import Fault
from driftgate.features.views.view import FeatureView

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


class _Lack(Enum):
    """Why there is no value of a feature of an entity."""

    NEVER_WRITTEN = 0
    NULL = 1
    UNUSABLE = 2


class _Entity(NamedTuple):
    """What Feast has of one entity of a view: values by dtype, side by side, and the features without one."""

    event_time_us: int
    blocks: dict[str, list[Any]]
    nulls: list[int]
    missing: tuple[int, ...]
    fault: Fault | None


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
    entities = [entity for _, entity in read if entity]
    packed = iter(_packed(layout, entities) if entities else ())
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
    return NOTHING, _cells(layout, event_time_us, contents)


def _cells(layout: RowLayout, event_time_us: int, contents: Sequence[bytes | None]) -> _Entity:
    blocks: dict[str, list[Any]] = {name: [] for name in layout.widths}
    lacks: list[tuple[int, _Lack]] = []
    for index, (feature, data) in enumerate(zip(layout.view.features, contents, strict=True)):
        dtype, length = feature.dtype, feature.length
        value = _cell(dtype, length, data)
        if isinstance(value, _Lack):
            lacks.append((index, value))
            blocks[dtype] += [_EMPTY.get(dtype, 0)] * length
        elif isinstance(value, list):
            blocks[dtype] += value
        else:
            blocks[dtype].append(value)
    nulls = [index for index, lack in lacks if lack is _Lack.NULL]
    missing = tuple([index for index, lack in lacks if lack is not _Lack.NULL])
    damaged = any([lack is _Lack.UNUSABLE for _, lack in lacks])
    return _Entity(event_time_us, blocks, nulls, missing, Fault.CORRUPT if damaged else None)


def _cell(dtype: str, length: int, data: bytes | None) -> FeastValue | _Lack:
    if data is None:
        return _Lack.NEVER_WRITTEN
    try:
        value = decode_value(data)
    except BrokenMessage:
        return _Lack.UNUSABLE
    if value is None:
        return _Lack.NULL
    if isinstance(value, list):
        fits = length > 1 and len(value) == length and all([_is_of(dtype, item) for item in value])
    else:
        fits = length == 1 and _is_of(dtype, value)
    return value if fits else _Lack.UNUSABLE


def _is_of(dtype: str, value: object) -> bool:
    if type(value) not in _TYPES[dtype]:
        return False
    return dtype != "int32" or -(2**31) <= value < 2**31  # type: ignore[operator] # an int, as just seen


def _packed(layout: RowLayout, entities: Sequence[_Entity]) -> list[FoundRow]:
    records = np.zeros(len(entities), layout.record)
    records["event_time_us"] = [entity.event_time_us for entity in entities]
    null_cells = np.zeros((len(records), records["null_words"].shape[1] * 64), bool)
    for row, entity in enumerate(entities):
        if entity.nulls:
            null_cells[row, entity.nulls] = True
    with np.errstate(over="ignore"):  # a double outside float32 is infinite, as in every other store
        for name in layout.widths.keys() - {"string"}:
            records[name] = np.array([entity.blocks[name] for entity in entities], BLOCK_DTYPES[name])
    texts = zip(*[entity.blocks.get("string", ()) for entity in entities], strict=True)
    packed = pack_records(layout, records, null_cells, list(texts))
    return [FoundRow(row, entity.missing, entity.fault) for row, entity in zip(packed, entities, strict=True)]
