"""Training sets as serving would have seen them: a point-in-time join over what was loaded and pushed.

The value of a row's time is the newest that was loaded with an event time not after it, or pushed by then.
TTL and policies are those of `resolve`, which serves predictions too. This imports pandas; no server process
imports this.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftgate.features.embedded.history_parts import history_directory, parts_of
from driftgate.features.embedded.push_history import pushed_rows
from driftgate.features.embedded.snapshots import ViewFiles, snapshot_numbers
from driftgate.features.errors import InvalidKey, InvalidRows, StoreUnavailable
from driftgate.features.filling.history import decoded_keys, read_history
from driftgate.features.filling.table_cells import (
    Array,
    Cells,
    read_cells,
    read_times_us,
    series_cells,
    series_times_us,
)
from driftgate.features.lookup.resolve import Resolved, Resolver
from driftgate.features.rows.codec import EntityRows, StoredRows, decode_rows, encode_rows, event_time_of
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.declaration import declared_view
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import EVENT_TIME, Feature, FeatureView

_TIME, _ROW = "time_us", "row"


@dataclass(frozen=True)
class FeatureSource:
    """Where a gateway keeps what was loaded, and what was declared."""

    state: str | Path = "state"
    registry: str | Path = "registry"


def training_frame(
    entity_df: pd.DataFrame,
    views: Sequence[FeatureView | str],
    source: FeatureSource = FeatureSource(),
    statuses: bool = False,
) -> pd.DataFrame:
    """Return `entity_df` with the features of `views` as they were at each row's `event_time`.

    `entity_df` has the join keys and `event_time` (times without a zone are UTC); its rows, their order and
    index stay. A feature that two views have is called `<view>__<feature>`. With `statuses` each feature has
    a column `<feature>__status` beside it, such as FRESH or STALE; a row whose policy is "error" would not
    have been predicted, and is null. Raises InvalidRows, InvalidView or StoreUnavailable.
    """
    declared = [view if isinstance(view, FeatureView) else _declared(view, source) for view in views]
    times_us = _needed(entity_df, EVENT_TIME, series_times_us)
    columns: dict[str, Any] = {}
    for view in declared:
        resolved = _resolved_then(view, entity_df, times_us, source)
        for feature in view.features:
            name = _column_name(feature.name, view, declared)
            _check_free(name, entity_df, columns)
            columns[name] = _column(feature, resolved)
            if statuses:
                codes = resolved.status[:, resolved.layout.places[feature.name].index]
                columns[f"{name}__status"] = [FeatureStatus(code).name for code in codes.tolist()]
    # By place, since an index may name several rows alike.
    numbered = entity_df.reset_index(drop=True)
    return pd.concat([numbered, pd.DataFrame(columns, index=numbered.index)], axis=1).set_index(
        entity_df.index
    )


def _declared(name: str, source: FeatureSource) -> FeatureView:
    return declared_view(Path(source.registry), name)


def _resolved_then(
    view: FeatureView, entities: pd.DataFrame, times_us: Array, source: FeatureSource
) -> Resolved:
    files = ViewFiles(Path(source.state) / "features", view.name)
    asked = _keyed(view, times_us, lambda name, dtype: _entity_cells(entities, name, dtype))
    loaded, pushed = _loaded_then(view, files, asked), _pushed_then(view, files, asked)
    if loaded is None and pushed is None:
        raise StoreUnavailable(
            f"the state {source.state} has no history of the view {view.name}: load or push"
        )
    packed: list[bytes | None] = [None] * len(times_us)
    for found in (loaded or {}, pushed or {}):
        for place, row in found.items():
            there = packed[place]
            if there is None or event_time_of(there) < event_time_of(row):
                packed[place] = row
    return _resolve_each(decode_rows(RowLayout.of(view), packed), times_us)


def _loaded_then(view: FeatureView, files: ViewFiles, asked: pd.DataFrame) -> dict[int, bytes] | None:
    """Return the row of the loaded history that was newest for each entity row; None if none was loaded."""
    finished = snapshot_numbers(files)
    parts = parts_of(history_directory(files.root, view.name), finished[-1] if finished else None)
    if not parts:
        return None
    history = read_history(view, parts)
    times_us = read_times_us(history[EVENT_TIME], None).values
    keyed = _keyed(view, times_us, lambda name, dtype: read_cells(history[name], dtype))
    places, rows = _newest_rows(keyed, asked)
    return dict(zip(places.tolist(), _packed(view, history.take(rows), times_us[rows]), strict=True))


def _pushed_then(view: FeatureView, files: ViewFiles, asked: pd.DataFrame) -> dict[int, bytes] | None:
    """Return the pushed row that was read for each entity row; None if nothing was ever pushed.

    A push is read from when it was written, whatever its event time; one that cannot be read hides nothing.
    """
    pushes = pushed_rows(files, _canonical(view, asked))
    sound = decode_rows(RowLayout.of(view), [push.row for push in pushes])
    pushes = [push for at, push in enumerate(pushes) if at not in sound.faults]
    if not pushes:
        return {} if files.delta.exists() else None
    join_keys = decoded_keys(view, [push.key for push in pushes])
    events_us = pd.Series([event_time_of(push.row) for push in pushes], dtype=np.int64)
    written_us = np.array([push.written_us for push in pushes], np.int64)
    keyed = _keyed(view, written_us, lambda name, dtype: _whole(join_keys[name]))
    newest = events_us.groupby([keyed[name] for name in _key_names(keyed)]).cummax() == events_us
    places, rows = _newest_rows(keyed[newest], asked, first=False)
    return {place: pushes[row].row for place, row in zip(places.tolist(), rows.tolist(), strict=True)}


def _canonical(view: FeatureView, asked: pd.DataFrame) -> set[bytes]:
    """Return the keys of entities as they are stored; those that nothing can be stored under are left out."""
    codec, keys = KeyCodec(view), set[bytes]()
    for values in asked[_key_names(asked)].drop_duplicates().itertuples(index=False):
        with suppress(InvalidKey):
            keys.add(codec.encode([value if isinstance(value, str) else int(value) for value in values]))
    return keys


def _newest_rows(history: pd.DataFrame, entities: pd.DataFrame, first: bool = True) -> tuple[Array, Array]:
    """Return those entity rows for which there was a row then, and the newest row that there was.

    Of rows with the same key and time the `first` counts, as in the store, or else the last.
    """
    if entities.empty or history.empty:  # without rows there are no types to join by
        return np.empty(0, np.int64), np.empty(0, np.int64)
    keys = _key_names(history)
    known = history.drop_duplicates([*keys, _TIME], keep="first" if first else "last")
    known = known.sort_values(_TIME, kind="stable").rename(columns={_ROW: "found"})
    asked = entities.sort_values(_TIME, kind="stable")
    found = pd.merge_asof(asked, known, on=_TIME, by=keys, direction="backward").dropna(subset=["found"])
    return found[_ROW].to_numpy(), found["found"].to_numpy(np.int64)


def _key_names(keyed: pd.DataFrame) -> list[str]:
    return [name for name in keyed.columns if name not in (_TIME, _ROW)]


def _keyed(view: FeatureView, times_us: Array, cells_of: Any) -> pd.DataFrame:
    """Return join keys, time and row number of the rows with whole keys, under names of our own."""
    columns: dict[str, Any] = {_TIME: times_us, _ROW: np.arange(len(times_us))}
    whole = np.ones(len(times_us), bool)
    for index, key in enumerate(view.join_keys):
        cells: Cells = cells_of(key.name, key.dtype)
        columns[f"key {index}"] = cells.values
        whole &= ~(cells.nulls | cells.bad)
    return pd.DataFrame(columns)[whole]


def _entity_cells(entities: pd.DataFrame, name: str, dtype: Any) -> Cells:
    if name not in entities:
        raise InvalidRows(f"the frame has no column {name!r}, which is a join key")
    cells = series_cells(entities[name], dtype)
    if cells.bad.any():
        raise InvalidRows(f"column {name!r}, row {np.flatnonzero(cells.bad)[0]}: this is no {dtype}")
    return cells


def _needed(entities: pd.DataFrame, name: str, read: Any) -> Array:
    if name not in entities:
        raise InvalidRows(f"the frame has no column {name!r}: the time for which features are wanted")
    cells: Cells = read(entities[name])
    wrong = np.flatnonzero(cells.bad | cells.nulls)
    if len(wrong):
        raise InvalidRows(f"column {name!r}, row {wrong[0]}: this is no time")
    return cells.values


def _packed(view: FeatureView, picked: Any, event_times_us: Array) -> list[bytes]:
    """Return rows of the history as the store has them."""
    cells = {
        feature.name: read_cells(picked[feature.name], feature.dtype, feature.length)
        for feature in view.features
    }
    rows = EntityRows(
        [b""] * len(event_times_us),
        event_times_us,
        {name: column.values for name, column in cells.items()},
        {name: column.nulls | column.bad for name, column in cells.items()},
    )
    return encode_rows(RowLayout.of(view), rows)


def _whole(values: Array) -> Cells:
    none = np.zeros(len(values), bool)
    return Cells(values, none, none)


def _resolve_each(stored: StoredRows, times_us: Array) -> Resolved:
    """Resolve each row at its own time: only ages count, so all are moved to the same time."""
    now_us = int(times_us.max(initial=1))
    moved = np.where(stored.event_time_us > 0, stored.event_time_us + (now_us - times_us), 0)
    return Resolver(stored.layout).resolve(stored._replace(event_time_us=moved), now_us)


def _column(feature: Feature, resolved: Resolved) -> Any:
    """Return a feature as a pandas column; whole numbers and booleans with gaps as nullable types."""
    values = resolved.columns[feature.name]
    place = resolved.layout.places[feature.name]
    absent = np.zeros(len(values), bool) if resolved.absent is None else resolved.absent[:, place.index]
    if feature.length > 1:
        rows = [None if gap else row for row, gap in zip(list(values), absent.tolist(), strict=True)]
        return pd.Series(rows, dtype=object).to_numpy()
    if feature.dtype in ("int32", "int64") and absent.any():
        return pd.arrays.IntegerArray(values.copy(), absent)
    if feature.dtype == "bool" and absent.any():
        return pd.arrays.BooleanArray(values.copy(), absent)
    return values


def _column_name(name: str, view: FeatureView, views: Sequence[FeatureView]) -> str:
    shared = sum(name == feature.name for other in views for feature in other.features) > 1
    return f"{view.name}__{name}" if shared else name


def _check_free(name: str, entities: pd.DataFrame, columns: dict[str, Any]) -> None:
    if name in entities or name in columns:
        raise InvalidRows(f"the frame has a column {name!r} already: rename it, or leave it out")
