"""Customers in a real Redis: their view, and their rows."""

from contextlib import closing
from typing import Any

import numpy as np

from driftgate.features.redis.opening import (
    open_redis_writer,
)
from driftgate.features.redis.rows import redis_key
from driftgate.features.redis.store import RowCache
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.feature_rows import packed
from harness.redis_server import RedisServer

VIEW = FeatureView(
    "customer",
    (JoinKey("id", "int64"),),
    (Feature("spend", "float32"), Feature("city", "string"), Feature("last", "int64", 3)),
    ttl_s=3600,
)
LAYOUT = RowLayout.of(VIEW)
OTHER = RowLayout.of(FeatureView("device", (JoinKey("name"),), (Feature("age", "int32"),)))
NOW_US = 1_700_000_000_000_000
UNCACHED = RowCache(ttl_s=0.0)


def key_of(number: int) -> bytes:
    """Return the key of a customer."""
    return KeyCodec(VIEW).encode((number,))


def rows_of(numbers: list[int], event_time_us: int = NOW_US) -> EntityRows:
    """Return rows in which a customer's number is in every feature."""
    columns: dict[str, Any] = {
        "spend": np.array(numbers, np.float32),
        "city": np.array([f"city {number}" for number in numbers], object),
        "last": np.array([[number, number + 1, number + 2] for number in numbers], np.int64),
    }
    keys = [key_of(number) for number in numbers]
    return EntityRows(keys, np.full(len(numbers), event_time_us, np.int64), columns)


def write(server: RedisServer, rows: EntityRows) -> list[PushOutcome]:
    """Write rows as whoever fills the store does."""
    with closing(open_redis_writer(server.url)) as writer:
        return writer.push(VIEW.name, packed(VIEW, rows), NOW_US)


def place_of(number: int) -> bytes:
    """Return the key in Redis of a customer."""
    return redis_key(VIEW.name, LAYOUT.schema_id, key_of(number))


def gets(server: RedisServer) -> int:
    """Return how many MGETs the server has answered."""
    return int(server.client.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"])
