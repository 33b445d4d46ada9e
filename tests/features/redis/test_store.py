"""Reading and writing features in a real Redis."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.features.errors import StoreFull, StoreUnavailable
from driftgate.features.lookup.resolve import resolve
from driftgate.features.lookup.store import Lookup
from driftgate.features.redis.address import RedisAddress
from driftgate.features.redis.breaker import Breaker
from driftgate.features.redis.client import RedisConnection, RedisTimeouts
from driftgate.features.redis.opening import (
    RedisSettings,
    open_redis_pushes,
    open_redis_store,
    open_redis_writer,
)
from driftgate.features.redis.pipeline import Connection, RedisPipeline
from driftgate.features.redis.replies import Command, Reply
from driftgate.features.redis.rows import PackedRedisRows, redis_key
from driftgate.features.redis.store import RedisFeatureStore, RowCache
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US, EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import Fault, FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.feature_rows import packed
from harness.fetching import fetched, fetched_one, with_store
from harness.redis_server import SERVERS, RedisServer, redis_server

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


@pytest.fixture(scope="module", params=SERVERS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """Run one server of each kind for all tests."""
    with redis_server(tmp_path_factory.mktemp("server"), kind=request.param) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """Give the server, empty and with its counters at zero."""
    running.client.flushall()
    running.client.config_resetstat()
    return running


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


@pytest.mark.parametrize(
    "url",
    [
        "secret",
        "http://user:secret@host",
        "redis://user:secret@host:port",
        "redis://user:secret@host:0",
        "redis://user:secret@host/fifteen",
        "redis://user:secret@host/1/2",
        "redis://user:secret@host/0#1",
        "redis://user:secret@",
        "redis://[::1",
        "unix://user:secret@",
    ],
)
def test_a_wrong_url_is_told_without_it(url: str) -> None:
    """A URL that is none is told by what one looks like, never by what it was."""
    with pytest.raises(ValueError, match="rediss://") as caught:
        open_redis_store(RedisSettings(url))
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "option", ["password=secret", "ssl_cert_reqs=none", "ssl_check_hostname=false", "DB=1"]
)
def test_options_are_few(option: str) -> None:
    """What else the library would take from a URL is refused, a password above all."""
    with pytest.raises(ValueError, match=r"ssl_ca_certs") as caught:
        open_redis_store(RedisSettings(f"redis://127.0.0.1/0?{option}"))
    assert "secret" not in str(caught.value)


def test_settings_do_not_tell_the_password() -> None:
    """What settings look like in a log has no URL in it."""
    assert "secret" not in repr(RedisSettings("redis://:secret@host"))


def test_a_password_is_used(tmp_path: Path) -> None:
    """The password of the URL is sent; a wrong one is a reason, not a crash."""
    with redis_server(tmp_path) as guarded:
        guarded.client.config_set("requirepass", "open sesame")
        rows = packed(VIEW, rows_of([1]))
        with closing(open_redis_writer(guarded.url.replace("//", "//:open%20sesame@"))) as writer:
            assert writer.push(VIEW.name, rows, NOW_US) == [PushOutcome.WRITTEN]
        with pytest.raises(StoreUnavailable, match="credentials"):
            open_redis_writer(guarded.url.replace("//", "//:guess@")).push(VIEW.name, rows, NOW_US)
