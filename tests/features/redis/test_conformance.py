"""Features in Redis, in our layout and in Feast's, put to the cases that every store must pass."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.redis.client import RedisTimeouts
from driftgate.features.redis.opening import RedisSettings, open_redis_writer
from driftgate.features.redis.store import RedisFeatureStore
from driftgate.features.rows.codec import EntityRows
from driftgate.features.views.view import FeatureView

from harness.feast_writer import write_as_feast
from harness.feature_conformance import CASES, HOUR_US, NOW_US, Ask, Filling
from harness.feature_rows import packed
from harness.fetching import fetched, with_store
from harness.redis_server import SERVERS, RedisServer, redis_server

PATIENT = RedisTimeouts(connect_s=5, round_trip_s=30)
"""For cases that ask for everything at once."""
PROJECT = "shop"


@pytest.fixture(scope="module", params=SERVERS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """Run one server of each kind for all cases."""
    with redis_server(tmp_path_factory.mktemp("server"), kind=request.param) as server:
        yield server


def push(server: RedisServer, view: FeatureView, chunks: Sequence[EntityRows]) -> None:
    """Fill our layout."""
    writer = open_redis_writer(server.url)
    for chunk in chunks:
        writer.push(view.name, packed(view, chunk), NOW_US + 3 * HOUR_US)
    writer.close()


def materialise(server: RedisServer, view: FeatureView, chunks: Sequence[EntityRows]) -> None:
    """Fill Feast's layout."""
    write_as_feast(server.client, PROJECT, view, chunks)


WAYS = {"driftgate": push, "feast": materialise}


@pytest.fixture(params=WAYS)
def fill(request: pytest.FixtureRequest, running: RedisServer) -> Filling:
    """Fill the server, empty before, in one of the layouts; every question has a store of its own."""
    settings = RedisSettings(running.url, layout=request.param, project=PROJECT, timeouts=PATIENT)

    def filled(view: FeatureView, chunks: Sequence[EntityRows]) -> Ask:
        running.client.flushall()
        WAYS[request.param](running, view, chunks)
        return lambda lookups: _answer(settings, lookups)

    return filled


def _answer(settings: RedisSettings, lookups: Sequence[Lookup]) -> Sequence[Fetched]:
    answers: list[Fetched] = []

    async def use(store: RedisFeatureStore) -> None:
        answers.extend(await fetched(store, lookups, budget_s=60))

    with_store(settings, use)
    return answers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_redis_answers_as_every_store(case: Callable[[Filling], None], fill: Filling) -> None:
    """What Redis answers, statuses included, is what the other stores answer, in both layouts."""
    case(fill)
