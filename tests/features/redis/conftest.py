"""Servers that tests of the stores on Redis share."""

from collections.abc import Iterator

import pytest

from harness.redis_server import SERVERS, RedisServer, redis_server


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
