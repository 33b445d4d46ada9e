"""Feature views of tests: declared in a registry, and loaded into the embedded store of a state directory."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.lookup.store import FeatureStore, Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.views.declaration import write_view
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import FeatureView


def entity_rows(
    view: FeatureView,
    keys: Sequence[tuple[str | int, ...]],
    columns: Mapping[str, Sequence[Any]],
    age_s: float = 0.0,
) -> EntityRows:
    """Return rows of a view whose event was `age_s` ago; None in a column is null."""
    codec = KeyCodec(view)
    arrays, nulls = {}, {}
    for feature in view.features:
        values = list(columns[feature.name])
        null = np.array([value is None for value in values], bool)
        nothing: Any = 0 if feature.length == 1 else [0] * feature.length
        if feature.dtype == "string":
            arrays[feature.name] = np.array(values, object)
        else:
            filled = [nothing if value is None else value for value in values]
            arrays[feature.name] = np.array(filled, feature.dtype)
        nulls[feature.name] = null
    event_time_us = np.full(len(keys), int((time.time() - age_s) * 1e6), np.int64)
    return EntityRows([codec.encode(key) for key in keys], event_time_us, arrays, nulls)


def load_view(root: Path, view: FeatureView, rows: EntityRows) -> int:
    """Load rows into the embedded store at `root` as a new snapshot; return its number."""
    with SnapshotWriter(root, view) as writer:
        writer.append(rows)
        return writer.finish("test").number


def declare(registry: Path, *views: FeatureView) -> None:
    """Declare views in a registry, which is made where it is missing."""
    registry.mkdir(parents=True, exist_ok=True)
    for view in views:
        write_view(registry, view)


def fetch_now(store: FeatureStore, lookups: Sequence[Lookup]) -> list[Fetched]:
    """Return what a store that answers at once has."""
    found: list[Fetched] = []
    store.fetch(lookups, 1.0, found.extend)
    return found
