"""Opens the store and the writer from settings. Imports the redis library: import it only where needed."""

import random
from typing import Literal, NamedTuple

from driftgate.features.redis.address import RedisAddress
from driftgate.features.redis.breaker import Breaker, BreakerState
from driftgate.features.redis.client import FillingConnection, RedisConnection, RedisTimeouts
from driftgate.features.redis.feast_rows import FeastRedisRows
from driftgate.features.redis.pipeline import BreakerChanged, RedisPipeline
from driftgate.features.redis.pushes import RedisPushes
from driftgate.features.redis.rows import PackedRedisRows, RedisRows
from driftgate.features.redis.store import RedisFeatureStore, RowCache
from driftgate.features.redis.writer import RedisFeatureWriter

_PUSH_TIMEOUT_S = 2.0


class RedisSettings(NamedTuple):
    """Where features lie in Redis, and how. `url` may hold a password: never print this.

    `project` is Feast's, for the layout "feast". Rows may be `cache.ttl_s` older than what is in Redis. A
    password in `password_file` is read for every connection.
    """

    url: str
    layout: Literal["driftgate", "feast"] = "driftgate"
    project: str = ""
    timeouts: RedisTimeouts = RedisTimeouts()
    cache: RowCache = RowCache()
    password_file: str = ""

    def __repr__(self) -> str:
        return f"RedisSettings(layout={self.layout!r}, project={self.project!r})"


def open_redis_store(settings: RedisSettings, changed: BreakerChanged | None = None) -> RedisFeatureStore:
    """Return a store that connects when it is first asked; raise ValueError if a setting is wrong.

    `changed` is told, on the event loop, when the breaker changes its state.
    """
    connection = RedisConnection(RedisAddress(settings.url, settings.password_file), settings.timeouts)
    breaker = Breaker(random.SystemRandom().random)
    pipeline = RedisPipeline(connection, breaker, changed or _ignore)
    return RedisFeatureStore(pipeline, _rows(settings), settings.cache)


def open_redis_pushes(url: str, password_file: str = "") -> RedisPushes:
    """Return what pushes from an event loop, in our own layout; raise ValueError if `url` is none."""
    connection = FillingConnection(RedisAddress(url, password_file), _PUSH_TIMEOUT_S)
    return RedisPushes(RedisFeatureWriter(connection))


def open_redis_writer(url: str) -> RedisFeatureWriter:
    """Return a writer for our own layout, which connects when it first writes; raise ValueError."""
    return RedisFeatureWriter(FillingConnection(RedisAddress(url)))


def _rows(settings: RedisSettings) -> RedisRows:
    if settings.layout == "driftgate":
        return PackedRedisRows()
    if not settings.project:
        raise ValueError("the Feast layout needs the name of the Feast project")
    return FeastRedisRows(settings.project)


def _ignore(state: BreakerState, failure: str) -> None:
    """Nobody wants to know."""
