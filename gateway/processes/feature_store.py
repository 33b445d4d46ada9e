"""The feature store that the settings choose, opened in one process for reading or for pushes."""

from collections.abc import Sequence
from typing import Protocol

from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.lookup.store import FeatureStore
from driftgate.features.redis.breaker import BreakerState
from driftgate.features.redis.store import RowCache
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.feature_pushes import FeaturePushes
from driftgate.gateway.processes.redis_address import redis_address, redis_module
from driftgate.gateway.settings import FeatureSettings, InvalidConfiguration


class RowPushes(Protocol):
    """Takes pushed rows of any view, on an event loop."""

    async def push(self, view: str, rows: Sequence[PackedRow]) -> list[PushOutcome]:
        """Write packed rows and return what became of each; raise StoreError."""
        ...


class BreakerLog:
    """Logs when a store that is far away stops being asked, and when it is asked again."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._is_down = False

    def __call__(self, state: BreakerState, failure: str) -> None:
        """Take a new state and, where there is one, the failure that led to it."""
        if (state is not BreakerState.CLOSED) == self._is_down:
            return
        self._is_down = not self._is_down
        if self._is_down:
            self._logger.error("feature_store_down", reason=failure)
        else:
            self._logger.info("feature_store_back")


def open_feature_store(settings: FeatureSettings, layout: StateLayout, logger: Logger) -> FeatureStore:
    """Return the store; raise InvalidConfiguration where its settings are wrong.

    Call it in the process that uses it, after that was started: files are not shared over a fork.
    """
    if settings.store == "embedded":
        return LmdbFeatureStore(layout.features)
    return _redis_store(settings, BreakerLog(logger))


def open_feature_pushes(settings: FeatureSettings, layout: StateLayout) -> RowPushes | None:
    """Return the way into the store, None where Feast fills it; raise InvalidConfiguration."""
    if settings.store == "embedded":
        return FeaturePushes(layout.feature_writer_socket)
    if settings.redis_layout == "feast":
        return None
    opening, address = redis_module("opening"), redis_address(settings)
    try:
        pushes: RowPushes = opening.open_redis_pushes(*address)
    except ValueError as error:
        raise InvalidConfiguration(f"features: {error}") from error
    return pushes


def _redis_store(settings: FeatureSettings, changed: BreakerLog) -> FeatureStore:
    opening, (url, password_file) = redis_module("opening"), redis_address(settings)
    try:
        store: FeatureStore = opening.open_redis_store(
            opening.RedisSettings(
                url=url,
                password_file=password_file,
                layout=settings.redis_layout,
                project=settings.feast_project,
                cache=RowCache(settings.cache_ttl_s, settings.cache_bytes),
            ),
            changed,
        )
    except ValueError as error:
        raise InvalidConfiguration(f"features: {error}") from error
    return store
