"""Asking a feature store as a turn does, and waiting for its answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from driftgate.features.lookup.store import FeatureStore, Fetched, Lookup
from driftgate.features.redis.opening import RedisSettings, open_redis_store
from driftgate.features.redis.store import RedisFeatureStore
from driftgate.features.rows.layout import RowLayout

LONG_S = 2.0


async def fetched(store: FeatureStore, lookups: Sequence[Lookup], budget_s: float = LONG_S) -> list[Fetched]:
    """Return the answer to some look-ups."""
    answer: asyncio.Future[Sequence[Fetched]] = asyncio.get_running_loop().create_future()
    store.fetch(lookups, budget_s, answer.set_result)
    return list(await answer)


async def fetched_one(
    store: FeatureStore, layout: RowLayout, keys: Sequence[bytes], budget_s: float = LONG_S
) -> Fetched:
    """Return the answer to one look-up."""
    return (await fetched(store, [Lookup(layout, keys)], budget_s))[0]


async def fetched_in(store: FeatureStore, lookups: Sequence[Lookup], budget_s: float) -> tuple[bool, float]:
    """Return whether everything was had in time, and how long the answer took in seconds."""
    began = time.perf_counter()
    answers = await fetched(store, lookups, budget_s)
    return not any(answer.timed_out for answer in answers), time.perf_counter() - began


def with_store(settings: RedisSettings, use: Callable[[RedisFeatureStore], Awaitable[None]]) -> None:
    """Run something with a store, on an event loop of its own."""

    async def run() -> None:
        store = open_redis_store(settings)
        try:
            await use(store)
        finally:
            await store.wait_closed()

    asyncio.run(run())
