"""What is checked of a feature store that is far away when a gateway starts."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.start_features import check_features
from driftgate.gateway.settings import FeatureSettings, InvalidConfiguration

from harness.redis_server import redis_server


def said(settings: FeatureSettings) -> list[dict[str, Any]]:
    """Return what the check logs."""
    stream = io.BytesIO()
    check_features(settings, Logger("test", stream=stream))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_server_that_answers_is_named(tmp_path: Path) -> None:
    """What answers at the address is in the log; without an address nobody is asked."""
    with redis_server(tmp_path) as server:
        (line,) = said(FeatureSettings(store="redis", redis_url=server.url))
    assert (line["event"], line["server"]) == ("feature_store", "redis")
    assert said(FeatureSettings()) == []


def test_a_cluster_keeps_a_gateway_from_starting(tmp_path: Path) -> None:
    """A cluster will never do, and it is said what would."""
    with (
        redis_server(tmp_path, "--cluster-enabled", "yes") as server,
        pytest.raises(CannotStart, match="cluster mode, which is not supported: name a server outside"),
    ):
        said(FeatureSettings(store="redis", redis_url=server.url))


def test_nobody_there_keeps_no_gateway_from_starting() -> None:
    """A server that is away may come back: it is logged, no more."""
    (line,) = said(FeatureSettings(store="redis", redis_url="redis://127.0.0.1:1/0"))
    assert (line["level"], line["event"]) == ("warning", "feature_store_unreachable")


@pytest.mark.parametrize(
    ("url", "password_file", "expected"),
    [
        ("", "", "an address like"),
        ("redis://ann:hush@host", "", "leave the password out"),
        ("redis://host?password=hush", "", "may have these options"),
        ("host:6379", "", "is not valid"),
        ("redis://host", "/nowhere/hush", "cannot be read"),
    ],
)
def test_settings_that_are_wrong_are_told_apart(url: str, password_file: str, expected: str) -> None:
    """What is wrong with the settings is said by its name, without what they hold."""
    settings = FeatureSettings(store="redis", redis_url=url, redis_password_file=password_file)
    with pytest.raises(InvalidConfiguration, match=rf"features\.redis_url: .*{expected}") as caught:
        said(settings)
    assert "hush" not in str(caught.value)
