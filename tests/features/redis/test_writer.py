"""Writing features to a real Redis."""

import asyncio
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from driftgate.features.errors import StoreFull, StoreUnavailable
from driftgate.features.redis.opening import (
    RedisSettings,
    open_redis_pushes,
    open_redis_writer,
)
from driftgate.features.redis.store import RedisFeatureStore
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US
from driftgate.features.rows.push_outcome import PushOutcome

from harness.feature_rows import packed
from harness.fetching import fetched_one, with_store
from harness.redis_customers import LAYOUT, NOW_US, VIEW, key_of, place_of, rows_of, write
from harness.redis_server import RedisServer, redis_server


def test_the_newer_event_wins(server: RedisServer) -> None:
    """An older event or the same one changes nothing, in whatever order; damage is overwritten."""
    assert write(server, rows_of([1, 2], NOW_US)) == [PushOutcome.WRITTEN] * 2
    assert write(server, rows_of([1, 2], NOW_US)) == [PushOutcome.SAME] * 2
    assert write(server, rows_of([1, 3], NOW_US - 1)) == [PushOutcome.OLDER, PushOutcome.WRITTEN]
    assert write(server, rows_of([1, 3], NOW_US + 1)) == [PushOutcome.WRITTEN] * 2
    server.client.set(place_of(2), b"damaged, but long enough to have an event time")
    server.client.delete(place_of(3))
    server.client.rpush(place_of(3), "a list")
    assert write(server, rows_of([2, 3], NOW_US - 9)) == [PushOutcome.WRITTEN] * 2


def test_the_future_is_not_written(server: RedisServer) -> None:
    """A row from more than a minute ahead is refused, so that it cannot keep out those that come in time."""
    limit_us = NOW_US + FUTURE_ALLOWANCE_US
    rows = rows_of([1, 2])._replace(event_time_us=np.array([limit_us + 1, limit_us]))
    assert write(server, rows) == [PushOutcome.FUTURE, PushOutcome.WRITTEN]


def test_the_newest_of_one_push_stays(server: RedisServer) -> None:
    """Of rows for one key in one push the newest stays, whatever their order."""
    rows = rows_of([1, 1, 1])._replace(event_time_us=NOW_US + np.array([1, 3, 2]))
    assert write(server, rows) == [PushOutcome.WRITTEN, PushOutcome.WRITTEN, PushOutcome.OLDER]


def test_many_rows_are_written(server: RedisServer) -> None:
    """Rows that need many scripts and round trips all arrive."""
    numbers = list(range(10_000))
    assert set(write(server, rows_of(numbers))) == {PushOutcome.WRITTEN}
    assert server.client.dbsize() == len(numbers)


def test_pushes_come_from_an_event_loop(server: RedisServer) -> None:
    """Pushes that are made at once are all written, without holding up the loop."""

    async def run() -> None:
        with closing(open_redis_pushes(server.url)) as pushes:
            each = [packed(VIEW, rows_of([number])) for number in range(20)]
            outcomes = await asyncio.gather(*(pushes.push(VIEW.name, rows) for rows in each))
        assert outcomes == [[PushOutcome.WRITTEN]] * 20

    asyncio.run(run())
    assert server.client.dbsize() == 20


def test_a_full_server_is_told_apart(server: RedisServer) -> None:
    """Out of memory is StoreFull; what is there can still be read."""
    write(server, rows_of([1]))
    server.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreFull, match="maxmemory"):
            write(server, rows_of([2]))

        async def use(store: RedisFeatureStore) -> None:
            found = await fetched_one(store, LAYOUT, [key_of(1)])
            assert found.stored.event_time_us.tolist() == [NOW_US]

        with_store(RedisSettings(server.url), use)
    finally:
        server.client.config_set("maxmemory", 0)


def test_a_server_that_may_not_be_written_says_so(server: RedisServer, tmp_path: Path) -> None:
    """A replica refuses to be written with its own word."""
    with redis_server(tmp_path) as replica:
        replica.client.replicaof("127.0.0.1", server.port)
        with pytest.raises(StoreUnavailable, match="READONLY"):
            write(replica, rows_of([1]))


def test_nobody_there_to_write_to() -> None:
    """Writing to nobody says so, without telling the URL."""
    writer = open_redis_writer("redis://:secret@127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable) as caught:
        writer.push(VIEW.name, packed(VIEW, rows_of([1])), NOW_US)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
