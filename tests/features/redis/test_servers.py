"""Servers that are reached in other ways, or that are no use: TLS, users, databases, passwords, clusters."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.client import RedisTimeouts
from driftgate.features.redis.opening import RedisSettings, open_redis_writer
from driftgate.features.redis.store import RedisFeatureStore, RowCache
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.certificates import certificate_in
from harness.fault_proxy import fault_proxy
from harness.feature_rows import packed
from harness.fetching import fetched_one, with_store
from harness.redis_server import RedisServer, redis_server

VIEW = FeatureView("customer", (JoinKey("id", "int64"),), (Feature("number", "int64"),))
LAYOUT = RowLayout.of(VIEW)
KEY = KeyCodec(VIEW).encode((1,))
NOW_US = 1_700_000_000_000_000
ROWS = packed(VIEW, EntityRows([KEY], np.array([NOW_US]), {"number": np.array([7])}))
UNCACHED = RowCache(ttl_s=0.0)
PATIENT_S = 20.0
TO_SERVE = ("~driftgate/*", "+@read", "+@connection", "+select")
TO_PUSH = (*TO_SERVE, "+@write", "+@scripting")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a server."""
    with redis_server(tmp_path) as running:
        yield running


def push(url: str) -> list[PushOutcome]:
    """Write the one row."""
    with closing(open_redis_writer(url)) as writer:
        return writer.push(VIEW.name, ROWS, NOW_US)


def asked(settings: RedisSettings) -> tuple[list[int], str]:
    """Return the event times that one look-up gives, and what ails the store after five more of them."""
    found: tuple[list[int], str] = ([], "")

    async def use(store: RedisFeatureStore) -> None:
        nonlocal found
        answer = await fetched_one(store, LAYOUT, [KEY], PATIENT_S)
        for _ in range(5):
            await fetched_one(store, LAYOUT, [KEY], PATIENT_S)
        found = (answer.stored.event_time_us.tolist(), store.trouble())

    with_store(settings._replace(cache=UNCACHED, timeouts=RedisTimeouts(5.0, 5.0)), use)
    return found


HAD, NOT_HAD = [NOW_US], [0]


def test_tls_is_spoken_and_certificates_are_checked(server: RedisServer, tmp_path: Path) -> None:
    """Over TLS features are had from whom we trust; a stranger's certificate is a reason that is told."""
    certificate = certificate_in(tmp_path)
    push(server.url)
    with fault_proxy(server.port, certificate) as tls:
        assert asked(RedisSettings(f"{tls.url}?ssl_ca_certs={certificate}")) == (HAD, "")
        event_times, trouble = asked(RedisSettings(tls.url))
        assert event_times == NOT_HAD
        assert trouble.startswith("Redis cannot be asked: TLS fails")
        other_name = tls.url.replace("localhost", "127.0.0.1")
        assert asked(RedisSettings(f"{other_name}?ssl_ca_certs={certificate}"))[0] == NOT_HAD


def test_a_push_after_the_server_closed_the_connection_is_written(server: RedisServer) -> None:
    """Servers and proxies close what is idle for long; who pushes then is not told to push again."""
    with closing(open_redis_writer(server.url)) as writer:
        assert writer.push(VIEW.name, ROWS, NOW_US) == [PushOutcome.WRITTEN]
        (pushing,) = [one["id"] for one in server.client.client_list() if "eval" in one["cmd"]]
        assert server.client.client_kill_filter(_id=pushing) == 1
        assert writer.push(VIEW.name, ROWS, NOW_US) == [PushOutcome.SAME]


@pytest.mark.parametrize("way", ["tcp", "socket"])
def test_the_database_is_the_one_of_the_url(server: RedisServer, way: str) -> None:
    """The number in the URL chooses the database; one that the server does not have is a reason."""
    base = server.url.removesuffix("/0") + "/" if way == "tcp" else f"{server.unix_url}?db="
    push(f"{base}3")
    assert asked(RedisSettings(f"{base}3")) == (HAD, "")
    assert asked(RedisSettings(f"{base}2")) == (NOT_HAD, "")
    reason = "Redis cannot be asked: it has no database of that number"
    assert asked(RedisSettings(f"{base}99")) == (NOT_HAD, reason)


def test_a_user_needs_little(server: RedisServer, tmp_path: Path) -> None:
    """With the rights that the manual names a user can serve, and push; with fewer the reason is told."""
    (tmp_path / "password").write_text("open sesame\n")
    for name, rights in (("serving", TO_SERVE), ("pushing", TO_PUSH), ("nobody", ("+@connection",))):
        server.client.execute_command("ACL", "SETUSER", name, "on", ">open sesame", *rights)
    url = server.url.replace("//", "//{}@")
    settings = RedisSettings(url.format("serving"), password_file=str(tmp_path / "password"))
    assert push(url.format("pushing:open%20sesame")) == [PushOutcome.WRITTEN]
    assert asked(settings) == (HAD, "")
    with pytest.raises(StoreUnavailable, match=r"NOPERM: the user may not do that \(ACL\)"):
        push(url.format("serving:open%20sesame"))
    refused = asked(settings._replace(url=url.format("nobody")))
    assert refused == (NOT_HAD, "Redis refuses: NOPERM: the user may not do that (ACL)")


def test_a_password_that_changes_needs_no_restart(server: RedisServer, tmp_path: Path) -> None:
    """Once the server wants another password answers go on without it; the file is read anew."""
    password = tmp_path / "password"
    password.write_text("old")
    server.client.config_set("requirepass", "old")
    push(server.url.replace("//", "//:old@"))

    async def use(store: RedisFeatureStore) -> None:
        assert not (await fetched_one(store, LAYOUT, [KEY])).timed_out
        server.client.config_set("requirepass", "new")
        server.client.client_kill_filter(_type="normal", skipme=True)
        while not store.trouble():
            await fetched_one(store, LAYOUT, [KEY])
        assert store.trouble() == "Redis cannot be asked: it refuses our credentials"
        password.write_text("new")
        changed = time.monotonic()
        while (await fetched_one(store, LAYOUT, [KEY])).timed_out:
            assert time.monotonic() < changed + 10
            await asyncio.sleep(0.01)
        assert store.trouble() == ""

    with_store(RedisSettings(server.url, password_file=str(password), cache=UNCACHED), use)


def test_a_password_that_is_gone_is_told(server: RedisServer, tmp_path: Path) -> None:
    """A file with the password that has gone since the start is a reason, not a crash."""
    password = tmp_path / "password"
    password.write_text("any")

    async def use(store: RedisFeatureStore) -> None:
        password.unlink()
        while not store.trouble():
            await fetched_one(store, LAYOUT, [KEY])
        assert store.trouble() == "Redis cannot be asked: the file with the password of Redis cannot be read"

    with_store(RedisSettings(server.url, password_file=str(password)), use)


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_cluster_is_refused(tmp_path: Path, kind: str) -> None:
    """A server in cluster mode is neither read nor written, even where it could answer for single keys."""
    with redis_server(tmp_path, "--cluster-enabled", "yes", kind=kind) as cluster:
        cluster.client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        event_times, trouble = asked(RedisSettings(cluster.url))
        assert event_times == NOT_HAD
        assert "cluster mode, which is not supported" in trouble
        with pytest.raises(StoreUnavailable, match="cluster mode, which is not supported"):
            push(cluster.url)
