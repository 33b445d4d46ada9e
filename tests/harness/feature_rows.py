"""Feature views and rows for tests."""

import time

import numpy as np

from driftgate.features.rows.codec import EntityRows, encode_rows
from driftgate.features.rows.layout import Array, RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Feature, FeatureView, JoinKey, check_view

SECOND_US = 1_000_000


def now_us() -> int:
    """Return the time, in µs since 1970."""
    return time.time_ns() // 1000


def float_view(name: str = "cards", features: int = 4, ttl_s: float | None = 3600.0) -> FeatureView:
    """Return a view of float32 features `f0`… under one string key."""
    columns = tuple(Feature(f"f{number}", "float32") for number in range(features))
    return check_view(FeatureView(name, (JoinKey("card"),), columns, ttl_s))


def float_rows(view: FeatureView, cards: list[str], event_us: int | Array, value: float) -> EntityRows:
    """Return rows of a `float_view` in which every feature is `value`."""
    codec = KeyCodec(view)
    times = np.broadcast_to(np.asarray(event_us, np.int64), len(cards))
    columns = {one.name: np.full(len(cards), value, np.float32) for one in view.features}
    return EntityRows([codec.encode([card]) for card in cards], times, columns)


def packed(view: FeatureView, rows: EntityRows) -> list[tuple[bytes, bytes]]:
    """Return keys with packed rows."""
    return list(zip(rows.keys, encode_rows(RowLayout.of(view), rows), strict=True))
