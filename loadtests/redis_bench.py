"""What features in Redis cost a turn, in this process: remembered, fetched, and while Redis is away.

    .venv/bin/python -m loadtests.redis_bench redis://127.0.0.1:6379/15

Writes 20,000 rows of 20 float32 features below `driftgate/redis-bench/`, and leaves them there.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import uvloop

from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.redis.client import RedisTimeouts
from driftgate.features.redis.opening import RedisSettings, open_redis_store, open_redis_writer
from driftgate.features.redis.store import RedisFeatureStore, RowCache
from driftgate.features.rows.codec import EntityRows, decode_rows, encode_rows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Feature, FeatureView, JoinKey

VIEW = FeatureView(
    "redis-bench",
    (JoinKey("id", "int64"),),
    tuple(Feature(f"f{number}", "float32") for number in range(20)),
)
LAYOUT = RowLayout.of(VIEW)
ROWS = 20_000
TURNS = 2_000
ENTITIES = (1, 16, 100)
BUDGET_S = 5.0
PATIENT = RedisTimeouts(connect_s=5.0, round_trip_s=5.0)


def filled(url: str) -> list[bytes]:
    """Write the rows, print how fast that was, and return their keys."""
    codec = KeyCodec(VIEW)
    keys = [codec.encode((number,)) for number in range(ROWS)]
    now_us = time.time_ns() // 1000
    columns = {feature.name: np.random.default_rng(1).random(ROWS, np.float32) for feature in VIEW.features}
    packed = encode_rows(LAYOUT, EntityRows(keys, np.full(ROWS, now_us), columns))
    with closing(open_redis_writer(url)) as writer:
        began = time.perf_counter()
        writer.push(VIEW.name, list(zip(keys, packed, strict=True)), now_us)
        print(f"pushed {ROWS / (time.perf_counter() - began):12,.0f} rows/s")
    return keys


async def answered(store: RedisFeatureStore, keys: Sequence[bytes]) -> Fetched:
    """Return the answer to one turn."""
    answer: asyncio.Future[Sequence[Fetched]] = asyncio.get_running_loop().create_future()
    store.fetch([Lookup(LAYOUT, keys)], BUDGET_S, answer.set_result)
    return (await answer)[0]


async def timed(store: RedisFeatureStore, turns: Sequence[Sequence[bytes]], *, late: bool = False) -> str:
    """Return median and 99th percentile of the time of some turns."""
    took_us = []
    for keys in turns:
        began = time.perf_counter()
        fetched = await answered(store, keys)
        took_us.append((time.perf_counter() - began) * 1e6)
        assert fetched.timed_out is late  # noqa: S101 - a number of something else would be none
    return f"p50 {np.median(took_us):7.1f}   p99 {np.percentile(took_us, 99):7.1f} µs"


def decoding_us(turns: Sequence[Sequence[bytes]], row: bytes) -> float:
    """Return what decoding takes of a turn, which no store can save."""
    began = time.perf_counter()
    for keys in turns:
        decode_rows(LAYOUT, [row] * len(keys))
    return (time.perf_counter() - began) / len(turns) * 1e6


async def compare(url: str, keys: Sequence[bytes]) -> None:
    """Print what turns of several sizes cost."""
    row = encode_rows(LAYOUT, EntityRows([b""], np.ones(1, np.int64), _zeros(VIEW)))[0]
    for entities in ENTITIES:
        everyone = itertools.cycle(keys)
        turns = [[next(everyone) for _ in range(entities)] for _ in range(TURNS)]
        print(f"\n{entities} entities of 20 features a turn; decoding alone {decoding_us(turns, row):.1f} µs")
        fetching = open_redis_store(RedisSettings(url, timeouts=PATIENT, cache=RowCache(ttl_s=0)))
        await answered(fetching, turns[0])
        print(f"  fetched        {await timed(fetching, turns)}")
        await fetching.wait_closed()
        remembering = open_redis_store(RedisSettings(url, timeouts=PATIENT, cache=RowCache(ttl_s=3600)))
        await answered(remembering, turns[0])
        print(f"  remembered     {await timed(remembering, [turns[0]] * TURNS)}")
        await remembering.wait_closed()
        away = open_redis_store(RedisSettings("redis://127.0.0.1:1/0"))
        while (await answered(away, turns[0])).timed_out and away.breaker.value == "closed":
            pass
        print(f"  Redis is away  {await timed(away, turns, late=True)}")
        await away.wait_closed()


def _zeros(view: FeatureView) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return {feature.name: np.zeros(1, np.float32) for feature in view.features}


def main() -> None:
    """Compare, with the server that the command line names."""
    url = sys.argv[1]
    uvloop.run(compare(url, filled(url)))


if __name__ == "__main__":
    main()
