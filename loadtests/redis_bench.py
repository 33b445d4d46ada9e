"""What features in Redis cost a turn, beside the embedded store: fetched, remembered, and with Redis away.

    .venv/bin/python -m loadtests.redis_bench [redis://127.0.0.1:6379/15]

Without an address it runs a server of its own. Every turn is put to all of them, one after the other, so that
whatever else the machine does meets them alike. Writes 20,000 rows of 20 float32 features below
`driftgate/redis-bench/`, and leaves them there.
"""

import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvloop

from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.lookup.store import FeatureStore, Fetched, Lookup
from driftgate.features.redis.client import RedisTimeouts
from driftgate.features.redis.opening import RedisSettings, open_redis_store, open_redis_writer
from driftgate.features.redis.store import RowCache
from driftgate.features.rows.codec import EntityRows, encode_rows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from loadtests.redis_process import redis_process

VIEW = FeatureView(
    "redis-bench",
    (JoinKey("id", "int64"),),
    tuple(Feature(f"f{number}", "float32") for number in range(20)),
)
LAYOUT = RowLayout.of(VIEW)
ROWS = 20_000
TURNS = 2_000
ENTITIES = (1, 5, 16, 100)
BUDGET_S = 5.0
PATIENT = RedisTimeouts(connect_s=5.0, round_trip_s=5.0)
GARBAGE_THRESHOLD = 20_000
"""As in a worker."""
EMBEDDED, FETCHED, REMEMBERED, AWAY = "embedded", "fetched", "remembered", "Redis is away"


def fill(url: str, root: Path) -> list[bytes]:
    """Write the rows into both stores, print how fast Redis took them, and return their keys."""
    codec = KeyCodec(VIEW)
    keys = [codec.encode((number,)) for number in range(ROWS)]
    now_us = time.time_ns() // 1000
    columns = {feature.name: np.random.default_rng(1).random(ROWS, np.float32) for feature in VIEW.features}
    rows = EntityRows(keys, np.full(ROWS, now_us), columns)
    with SnapshotWriter(root, VIEW) as snapshot:
        snapshot.append(rows)
        snapshot.finish("bench")
    packed = encode_rows(LAYOUT, rows)
    with closing(open_redis_writer(url)) as writer:
        began = time.perf_counter()
        writer.push(VIEW.name, list(zip(keys, packed, strict=True)), now_us)
        print(f"pushed {ROWS / (time.perf_counter() - began):,.0f} rows/s")
    return keys


async def answered(store: FeatureStore, keys: Sequence[bytes]) -> Fetched:
    """Return the answer to one turn."""
    answer: asyncio.Future[Sequence[Fetched]] = asyncio.get_running_loop().create_future()
    store.fetch([Lookup(LAYOUT, keys)], BUDGET_S, answer.set_result)
    return (await answer)[0]


async def timed_us(
    stores: Mapping[str, FeatureStore], turns: Sequence[Sequence[bytes]]
) -> dict[str, list[float]]:
    """Return how long each store took for each turn, in microseconds."""
    took: dict[str, list[float]] = {name: [] for name in stores}
    for keys in turns:
        for name, store in stores.items():
            await asyncio.sleep(0)
            began = time.perf_counter()
            fetched = await answered(store, keys)
            took[name].append((time.perf_counter() - began) * 1e6)
            assert fetched.timed_out is (name == AWAY)  # noqa: S101 - else it measured something else
    return took


def show(took_us: Mapping[str, Sequence[float]]) -> None:
    """Print median and 99th percentile of each store, and how many times the embedded one's that is."""
    base = np.percentile(took_us[EMBEDDED], (50, 99))
    for name, times in took_us.items():
        p50, p99 = np.percentile(times, (50, 99))
        median = f"p50 {p50:7.1f} us ({p50 / base[0]:5.2f} x)"
        print(f"  {name:14} {median}   p99 {p99:7.1f} us ({p99 / base[1]:5.2f} x)")


async def compare(url: str, root: Path) -> None:
    """Print what turns of several sizes cost."""
    keys = fill(url, root)
    fetching = open_redis_store(RedisSettings(url, timeouts=PATIENT, cache=RowCache(ttl_s=0)))
    remembering = open_redis_store(RedisSettings(url, timeouts=PATIENT, cache=RowCache(ttl_s=3600)))
    away = open_redis_store(RedisSettings("redis://127.0.0.1:1/0"))
    stores: dict[str, FeatureStore] = {
        EMBEDDED: LmdbFeatureStore(root),
        FETCHED: fetching,
        REMEMBERED: remembering,
        AWAY: away,
    }
    await answered(remembering, keys)
    while (await answered(away, keys[:1])).timed_out and away.breaker.value == "closed":
        pass
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    for entities in ENTITIES:
        everyone = itertools.cycle(keys)
        turns = [[next(everyone) for _ in range(entities)] for _ in range(TURNS)]
        print(f"{entities} entities of 20 features a turn")
        show(await timed_us(stores, turns))
    await asyncio.gather(*(store.wait_closed() for store in (fetching, remembering, away)))


def main() -> None:
    """Compare, with the server that the command line names or one of its own."""
    with TemporaryDirectory() as name:
        root = Path(name)
        given = sys.argv[1] if len(sys.argv) > 1 else ""
        with nullcontext((None, given)) if given else redis_process(root) as (_, url):
            uvloop.run(compare(url, root / "features"))


if __name__ == "__main__":
    main()
