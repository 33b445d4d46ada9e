"""What address a store is opened with, and what is told of it."""

from contextlib import closing
from pathlib import Path

import pytest

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.opening import (
    RedisSettings,
    open_redis_store,
    open_redis_writer,
)
from driftgate.features.rows.push_outcome import PushOutcome

from harness.feature_rows import packed
from harness.redis_customers import NOW_US, VIEW, rows_of
from harness.redis_server import redis_server


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
