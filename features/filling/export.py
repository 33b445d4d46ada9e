"""What the store holds of a view as one Parquet file: one row per entity, the newer of snapshot and push."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np

from driftgate.features.embedded.lmdb_file import ImmutableRows, SharedRows
from driftgate.features.embedded.snapshots import ViewFiles, current_snapshot
from driftgate.features.errors import StoreUnavailable
from driftgate.features.filling.history import decoded_keys, table_columns
from driftgate.features.filling.tables import export_parquet
from driftgate.features.lookup.store import NO_SNAPSHOT
from driftgate.features.rows.codec import EntityRows, decode_rows, event_time_of, fault_of
from driftgate.features.rows.layout import Array, RowLayout
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.views.view import FeatureView

CHUNK_ROWS = 50_000


def export_view(root: Path, view: FeatureView, target: Path) -> int:
    """Write the entities of a view to `target`, whole or not at all; return how many.

    Rows that are damaged or of another schema are left out. Raises StoreUnavailable where nothing is stored,
    StoreError and OSError.
    """
    files = ViewFiles(root, view.name)
    with ExitStack() as stack:
        number = current_snapshot(files)
        base = ImmutableRows(files.snapshot(number)) if number != NO_SNAPSHOT else None
        if base is not None:
            stack.callback(base.close)
        delta = _delta(files)
        if delta is not None:
            stack.callback(delta.close)
        layout = RowLayout.of(view)
        rows = export_parquet(target, _tables(layout, _merged(_items(base), _pushed(layout, delta))))
    if not rows:
        raise StoreUnavailable(f"the view {view.name!r} holds no rows")
    return rows


def _delta(files: ViewFiles) -> SharedRows | None:
    try:
        return SharedRows(files.delta)
    except FileNotFoundError:
        return None


def _pushed(layout: RowLayout, delta: SharedRows | None) -> Iterator[PackedRow]:
    """Yield what was pushed and can be used; what cannot hides nothing, as in the store."""
    return ((key, row) for key, row in _items(delta) if fault_of(layout, row) is None)


def _merged(loaded: Iterator[PackedRow], pushed: Iterator[PackedRow]) -> Iterator[PackedRow]:
    """Yield every entity once, in the order of the keys."""
    waiting = next(pushed, None)
    for key, row in loaded:
        while waiting is not None and waiting[0] < key:
            yield waiting
            waiting = next(pushed, None)
        if waiting is not None and waiting[0] == key:
            yield waiting if event_time_of(waiting[1]) > event_time_of(row) else (key, row)
            waiting = next(pushed, None)
        else:
            yield key, row
    while waiting is not None:
        yield waiting
        waiting = next(pushed, None)


def _items(table: ImmutableRows | SharedRows | None) -> Iterator[PackedRow]:
    after = b""
    while table is not None and (rows := table.next_items(after, CHUNK_ROWS)):
        after = rows[-1][0]
        yield from rows


def _tables(layout: RowLayout, rows: Iterator[PackedRow]) -> Iterator[dict[str, Array]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        table = _table(layout, chunk)
        if table:
            yield table


def _table(layout: RowLayout, chunk: Sequence[PackedRow]) -> dict[str, Array]:
    stored = decode_rows(layout, [row for _, row in chunk])
    sound = stored.event_time_us > 0
    if not sound.any():
        return {}
    keys = [key for (key, _), good in zip(chunk, sound.tolist(), strict=True) if good]
    nulls = np.zeros((len(keys), len(layout.places)), bool) if stored.nulls is None else stored.nulls[sound]
    rows = EntityRows(
        keys,
        stored.event_time_us[sound],
        {name: np.ascontiguousarray(column[sound]) for name, column in stored.columns.items()},
        {name: nulls[:, place.index] for name, place in layout.places.items()},
    )
    return table_columns(layout.view, decoded_keys(layout.view, keys), rows)
