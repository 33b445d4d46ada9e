"""Rows of a view as tables: the join keys, `event_time` (UTC) and the features, as the history keeps them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.features.filling.table_cells import Array
from driftgate.features.filling.tables import read_parquet
from driftgate.features.rows.codec import EntityRows
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import EVENT_TIME, FeatureView


def decoded_keys(view: FeatureView, keys: Sequence[bytes]) -> dict[str, Array]:
    """Return the values of keys by the name of the join key."""
    codec = KeyCodec(view)
    values = list(zip(*map(codec.decode, keys), strict=True)) or [()] * len(view.join_keys)
    return {
        key.name: np.array(column, object if key.dtype == "string" else np.int64)
        for key, column in zip(view.join_keys, values, strict=True)
    }


def table_columns(view: FeatureView, join_keys: Mapping[str, Array], rows: EntityRows) -> dict[str, Array]:
    """Return rows as the columns of a table: join keys, `event_time` and features, null where masked."""
    columns = dict(join_keys)
    columns[EVENT_TIME] = rows.event_time_us.astype("datetime64[us]")
    for feature in view.features:
        values, nulls = np.asarray(rows.columns[feature.name]), rows.nulls.get(feature.name)
        columns[feature.name] = values if nulls is None else _masked(values, nulls)
    return columns


def read_history(view: FeatureView, parts: Sequence[Path]) -> Any:
    """Return the join keys, event times and features of parts as one table; raise InvalidTable."""
    names = [*(key.name for key in view.join_keys), EVENT_TIME, *(feature.name for feature in view.features)]
    return read_parquet(parts, names)


def _masked(values: Array, nulls: Array) -> Array:
    mask = nulls if values.ndim == 1 else np.broadcast_to(nulls[:, None], values.shape)
    return np.ma.MaskedArray(values, mask)
