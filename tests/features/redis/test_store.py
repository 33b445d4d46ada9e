"""Reading features from a real Redis."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from driftgate.features.lookup.resolve import resolve
from driftgate.features.lookup.store import Lookup
from driftgate.features.redis.address import RedisAddress
from driftgate.features.redis.breaker import Breaker
from driftgate.features.redis.client import RedisConnection, RedisTimeouts
from driftgate.features.redis.opening import (
    RedisSettings,
    open_redis_store,
)
from driftgate.features.redis.pipeline import Connection, RedisPipeline
from driftgate.features.redis.replies import Command, Reply
from driftgate.features.redis.rows import PackedRedisRows
from driftgate.features.redis.store import RedisFeatureStore, RowCache
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import Fault, FeatureStatus

from harness.fetching import fetched, fetched_one, with_store
from harness.redis_customers import (
    LAYOUT,
    NOW_US,
    OTHER,
    UNCACHED,
    VIEW,
    gets,
    key_of,
    place_of,
    rows_of,
    write,
)
from harness.redis_server import RedisServer


def test_what_was_written_is_read(server: RedisServer) -> None:
    """Rows come back as they were written, in the order in which they are wanted, and as often."""
    assert write(server, rows_of([1, 2, 3])) == [PushOutcome.WRITTEN] * 3

    async def use(store: RedisFeatureStore) -> None:
        found = await fetched_one(store, LAYOUT, [key_of(number) for number in (3, 1, 3)])
        assert found.stored.columns["spend"].tolist() == [3, 1, 3]
        assert found.stored.columns["city"].tolist() == ["city 3", "city 1", "city 3"]
        assert found.stored.columns["last"].tolist() == [[3, 4, 5], [1, 2, 3], [3, 4, 5]]
        assert found.stored.event_time_us.tolist() == [NOW_US] * 3
        assert not found.timed_out
        assert not found.stored.faults

    with_store(RedisSettings(server.url), use)


def test_a_unix_socket_will_do(server: RedisServer) -> None:
    """A server on this machine can be reached over its socket."""
    write(server, rows_of([1]))

    async def use(store: RedisFeatureStore) -> None:
        assert (await fetched_one(store, LAYOUT, [key_of(1)])).stored.columns["spend"].tolist() == [1]

    with_store(RedisSettings(server.unix_url), use)


def test_an_answer_that_is_here_is_no_timeout(server: RedisServer) -> None:
    """A loop that was busy reads what has arrived meanwhile before it gives up on it."""
    write(server, rows_of([1, 2]))

    async def use(store: RedisFeatureStore) -> None:
        await fetched_one(store, LAYOUT, [key_of(1)])
        asked = asyncio.create_task(fetched_one(store, LAYOUT, [key_of(2)], budget_s=0.005))
        for _ in range(5):  # enough turns of the loop to send the question
            await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 - that is what a busy loop does
        assert not (await asked).timed_out

    with_store(RedisSettings(server.url, timeouts=RedisTimeouts(1, 1)), use)


def test_closing_after_the_loop_is_harmless(server: RedisServer) -> None:
    """A store that is closed when its loop has ended has nothing left to close."""
    kept: list[RedisFeatureStore] = []

    async def use(store: RedisFeatureStore) -> None:
        kept.append(store)

    with_store(RedisSettings(server.url), use)
    kept[0].close()
    open_redis_store(RedisSettings(server.url)).close()


def test_a_turn_asks_once_for_everything(server: RedisServer) -> None:
    """All look-ups of a turn go out in one round trip, whatever views they are of."""
    write(server, rows_of([1]))

    async def use(store: RedisFeatureStore) -> None:
        device = KeyCodec(OTHER.view).encode(("phone",))
        lookups = [Lookup(LAYOUT, [key_of(1), key_of(2)]), Lookup(OTHER, [device])]
        customers, devices = await fetched(store, lookups)
        assert customers.stored.event_time_us.tolist() == [NOW_US, 0]
        assert devices.stored.event_time_us.tolist() == [0]
        assert store.round_trips.ended == gets(server) == 1

    with_store(RedisSettings(server.url), use)


def test_a_thousand_turns_for_a_cold_key_are_one_fetch(server: RedisServer) -> None:
    """Who wants a key that is being fetched waits for that fetch, and everyone gets the row."""
    write(server, rows_of([1]))

    async def use(store: RedisFeatureStore) -> None:
        found = await asyncio.gather(*(fetched_one(store, LAYOUT, [key_of(1)]) for _ in range(1000)))
        assert all(answer.stored.columns["spend"].tolist() == [1] for answer in found)
        assert gets(server) == 1
        assert (store.counts.fetched, store.counts.joined) == (1, 999)

    with_store(RedisSettings(server.url), use)


@pytest.mark.parametrize("number", [1, 2])
def test_a_row_is_remembered(server: RedisServer, number: int) -> None:
    """A row that was read, and that there is none, are known for a while and cost no round trip."""
    write(server, rows_of([1]))

    async def use(store: RedisFeatureStore) -> None:
        first = await fetched_one(store, LAYOUT, [key_of(number)])
        answers: list[Any] = []
        store.fetch([Lookup(LAYOUT, [key_of(number)])], 0.0, answers.extend)
        assert answers[0].stored.event_time_us.tolist() == first.stored.event_time_us.tolist()
        assert gets(server) == 1
        assert store.counts.cached == 1

    with_store(RedisSettings(server.url, cache=RowCache(ttl_s=60)), use)


class Empty:
    """A server without any row."""

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer every MGET."""
        return [[None] * (len(command) - 1) for command in commands]

    async def drop(self) -> None:
        """Nothing is held."""


def store_over(connection: Connection, cache: RowCache, clock: Callable[[], float]) -> RedisFeatureStore:
    """Return a store with a clock of its own."""
    pipeline = RedisPipeline(connection, Breaker(lambda: 0.5), lambda state, failure: None)
    return RedisFeatureStore(pipeline, PackedRedisRows(), cache, clock)


def test_a_row_is_forgotten_in_time(server: RedisServer) -> None:
    """After the cache's time a new row is seen; that there is no row is known for a second at most."""
    now = [0.0]

    async def run() -> None:
        connection = RedisConnection(RedisAddress(server.url), RedisTimeouts(1, 1))
        store = store_over(connection, RowCache(ttl_s=5), lambda: now[0])
        times = []
        for at, event_time_us in ((0.0, 0), (0.9, 1), (1.0, 0), (5.9, 2), (6.0, 0)):
            now[0] = at
            if event_time_us:
                write(server, rows_of([1], NOW_US + event_time_us))
            found = await fetched_one(store, LAYOUT, [key_of(1)])
            times.append(int(found.stored.event_time_us[0]))
        await store.wait_closed()
        assert times == [0, 0, NOW_US + 1, NOW_US + 1, NOW_US + 2]

    asyncio.run(run())


def test_many_keys_do_not_grow_memory() -> None:
    """However many keys are asked for, the cache stays within its bytes."""

    async def run() -> None:
        store = store_over(Empty(), RowCache(60, max_bytes=100_000), lambda: 0.0)
        for start in range(0, 50_000, 1000):
            await fetched_one(store, LAYOUT, [key_of(number) for number in range(start, start + 1000)])
        assert 0 < store.cached_bytes <= 100_000
        await store.wait_closed()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"", Fault.CORRUPT),
        (b"short", Fault.CORRUPT),
        (b"x" * 400, Fault.CORRUPT),
        (1, Fault.CORRUPT),
    ],
)
def test_what_is_no_row_is_missing(server: RedisServer, value: object, fault: Fault) -> None:
    """Bytes that are no row of this key are never read as one; those beside it are."""
    write(server, rows_of([1, 2]))
    server.client.set(place_of(1), value)

    async def use(store: RedisFeatureStore) -> None:
        found = await fetched_one(store, LAYOUT, [key_of(1), key_of(2)])
        assert found.stored.event_time_us.tolist() == [0, NOW_US]
        assert found.stored.faults == {0: fault}

    with_store(RedisSettings(server.url), use)


def test_damage_of_single_bytes_is_noticed(server: RedisServer) -> None:
    """A row in which any one byte was changed is missing, not a wrong number."""
    write(server, rows_of([1]))
    place = place_of(1)
    sound = bytearray(server.client.get(place))

    async def use(store: RedisFeatureStore) -> None:
        for at in range(len(sound)):
            damaged = bytearray(sound)
            damaged[at] ^= 0x40
            server.client.set(place, bytes(damaged))
            found = await fetched_one(store, LAYOUT, [key_of(1)])
            assert found.stored.event_time_us.tolist() == [0]
            assert list(found.stored.faults) == [0]

    with_store(RedisSettings(server.url, cache=UNCACHED), use)


def test_a_row_of_another_key_is_no_answer(server: RedisServer) -> None:
    """A row that lies under another key than its own is damaged, even though it is sound in itself."""
    write(server, rows_of([1, 2]))
    server.client.copy(place_of(2), place_of(1), replace=True)

    async def use(store: RedisFeatureStore) -> None:
        found = await fetched_one(store, LAYOUT, [key_of(1)])
        assert found.stored.event_time_us.tolist() == [0]
        assert found.stored.faults == {0: Fault.CORRUPT}

    with_store(RedisSettings(server.url), use)


def test_a_key_of_another_type_is_missing(server: RedisServer) -> None:
    """A list where a row should be is nothing that was written."""
    server.client.rpush(place_of(1), "a")

    async def use(store: RedisFeatureStore) -> None:
        found = await fetched_one(store, LAYOUT, [key_of(1)])
        status = resolve(VIEW, found.stored, NOW_US).status
        assert (status == FeatureStatus.MISSING).all()

    with_store(RedisSettings(server.url), use)


def test_after_flushall_everything_is_missing(server: RedisServer) -> None:
    """A store that was emptied answers that nothing was written; the connection stays."""
    write(server, rows_of([1]))

    async def use(store: RedisFeatureStore) -> None:
        before = await fetched_one(store, LAYOUT, [key_of(1)])
        server.client.flushall()
        after = await fetched_one(store, LAYOUT, [key_of(1)])
        assert before.stored.event_time_us.tolist() == [NOW_US]
        assert after.stored.event_time_us.tolist() == [0]
        assert not after.timed_out

    with_store(RedisSettings(server.url, cache=UNCACHED), use)


def test_a_connection_that_the_server_closed_is_made_anew(server: RedisServer) -> None:
    """A connection that the server closed while nobody asked costs no answer."""
    write(server, rows_of([1]))

    async def use(store: RedisFeatureStore) -> None:
        for _ in range(3):
            found = await fetched_one(store, LAYOUT, [key_of(1)])
            assert not found.timed_out
            server.client.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.01)
        assert store.round_trips.failed == 0

    with_store(RedisSettings(server.url, cache=UNCACHED), use)
