"""The history of a view: every row that was ever loaded, as Parquet beside the embedded store.

`<view>/history/<snapshot>-<part>.parquet` has the join keys, `event_time` (UTC) and the features. The store
itself keeps only what is newest; training needs what was newest then.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.features.durable import sync_directory
from driftgate.features.keys import KeyCodec
from driftgate.features.rows import EntityRows
from driftgate.features.table_cells import Array
from driftgate.features.tables import read_parquet
from driftgate.features.view import EVENT_TIME, FeatureView

HISTORY_DIRECTORY = "history"
_PART = re.compile(r"(\d{12})-(\d{8})\.parquet")


def history_directory(store: Path, view: str) -> Path:
    """Return where the history of a view lies in an embedded store."""
    return store / view / HISTORY_DIRECTORY


def put_parts(parts: Iterable[tuple[int, Path]], directory: Path, snapshot: int) -> None:
    """Move parts that are whole to where they belong, durably; those that are not there were moved before.

    What lies there for a snapshot that was never finished is removed. Raises OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = [(part, path) for part, path in parts if path.exists()]
    for path in directory.iterdir():
        found = _PART.fullmatch(path.name)
        if found and int(found[1]) >= snapshot and waiting and waiting[0][0] == 0:
            path.unlink()
    for part, path in waiting:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(path, directory / f"{snapshot:012}-{part:08}.parquet")
    sync_directory(directory)


def parts_of(directory: Path) -> list[Path]:
    """Return the parts of all snapshots: the newest snapshot first, its parts as they were loaded."""
    if not directory.is_dir():
        return []
    found = [match for path in directory.iterdir() if (match := _PART.fullmatch(path.name))]
    found.sort(key=lambda match: (-int(match[1]), int(match[2])))
    return [directory / match[0] for match in found]


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
