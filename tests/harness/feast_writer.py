"""Writes rows into Redis as Feast does when it materialises a view."""

from collections.abc import Iterator, Sequence
from typing import Any

from driftgate.features.feast.layout import (
    FeastJoinKey,
    FeastKeyType,
    event_time_field,
    feature_field,
    hash_key,
)
from driftgate.features.rows.codec import EntityRows
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Feature, FeatureView

from harness.feast_messages import event_time_of, value_of

_VALUE_FIELDS = {"string": 2, "int32": 3, "int64": 4, "float64": 5, "float32": 6, "bool": 7}
_KEY_TYPES = {"string": FeastKeyType.STRING, "int64": FeastKeyType.INT64}


def write_as_feast(client: Any, project: str, view: FeatureView, chunks: Sequence[EntityRows]) -> None:
    """Write the newest row of every entity; Feast, too, lets a newer event time win."""
    join_keys = [FeastJoinKey(key.name, _KEY_TYPES[key.dtype]) for key in view.join_keys]
    codec = KeyCodec(view)
    newest: dict[bytes, tuple[int, EntityRows, int]] = {}
    for rows in chunks:
        for index, (key, event_us) in enumerate(zip(rows.keys, rows.event_time_us.tolist(), strict=True)):
            if key not in newest or newest[key][0] < event_us:
                newest[key] = (event_us, rows, index)
    pipeline = client.pipeline(transaction=False)
    for key, (event_us, rows, index) in newest.items():
        place = hash_key(project, join_keys, codec.decode(key))
        fields = dict(_fields(view, rows, index))
        pipeline.hset(place, mapping={**fields, event_time_field(view.name): event_time_of(event_us)})
    pipeline.execute()


def _fields(view: FeatureView, rows: EntityRows, index: int) -> Iterator[tuple[bytes, bytes]]:
    for feature in view.features:
        is_null = feature.name in rows.nulls and rows.nulls[feature.name][index]
        data = b"" if is_null else _value(feature, rows.columns[feature.name][index])
        yield feature_field(view.name, feature.name), data


def _value(feature: Feature, cell: Any) -> bytes:
    content = cell.tolist() if hasattr(cell, "tolist") else cell
    return value_of(_VALUE_FIELDS[feature.dtype] + (10 if feature.length > 1 else 0), content)
