"""Process settings: four sources in rising order, and every mistake names where it was made."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftgate.gateway.settings import InvalidConfiguration, Settings, load_settings

KUBERNETES = {
    "DRIFTGATE_PORT": "tcp://10.0.0.1:8000",
    "DRIFTGATE_SERVICE_HOST": "10.0.0.1",
    "DRIFTGATE_SERVICE_PORT": "8000",
    "DRIFTGATE_SERVICE_PORT_HTTP": "8000",
    "DRIFTGATE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "DRIFTGATE_PORT_8000_TCP_PROTO": "tcp",
    "DRIFTGATE_PORT_8000_TCP_PORT": "8000",
    "DRIFTGATE_PORT_8000_TCP_ADDR": "10.0.0.1",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_default_works() -> None:
    """Nothing has to be set."""
    assert load_settings(None, {}, {}) == Settings()


def test_what_kubernetes_injects_is_no_setting() -> None:
    """The variables of a service called driftgate change nothing and break nothing."""
    assert load_settings(None, KUBERNETES, {}) == Settings()


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    """A later source overrides single keys of an earlier one; what it leaves out stays."""
    (tmp_path / "driftgate.toml").write_text("[server]\nport = 1\nadmin_port = 1\nmetrics_port = 1\n")
    environment = {"DRIFTGATE__SERVER__ADMIN_PORT": "2", "DRIFTGATE__SERVER__METRICS_PORT": "2"}
    server = load_settings(None, environment, {"server": {"metrics_port": 3, "port": None}}).server
    assert (server.port, server.admin_port, server.metrics_port) == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "value", "section", "key", "expected"),
    [
        ("DRIFTGATE__SERVER__PORT", "9000", "server", "port", 9000),
        ("DRIFTGATE__SERVER__ALLOW_BARE", "true", "server", "allow_bare", True),
        ("DRIFTGATE__SERVER__HOST", "::1", "server", "host", "::1"),
        ("DRIFTGATE__TIMING__DRAIN_S", "0", "timing", "drain_s", 0.0),
        ("DRIFTGATE__MODELS__LOG_FORMAT", "text", "models", "log_format", "text"),
    ],
)
def test_a_variable_becomes_a_setting(name: str, value: str, section: str, key: str, expected: Any) -> None:
    """DRIFTGATE__SECTION__KEY is read with the type of its setting."""
    assert getattr(getattr(load_settings(None, {name: value}, {}), section), key) == expected


@pytest.mark.parametrize(
    ("environment", "overrides", "file", "message"),
    [
        ({"DRIFTGATE__SERVER__PRT": "1"}, {}, "", "the environment.*prt"),
        ({"DRIFTGATE__SERVER__PORT": "tcp://10.0.0.1:8000"}, {}, "", "the environment.*server.port"),
        ({"DRIFTGATE__SERVER__PORT": "65536"}, {}, "", "the environment.*65535"),
        ({"DRIFTGATE__NOPE": "1"}, {}, "", "the environment.*nope"),
        ({"DRIFTGATE__": "1"}, {}, "", "the environment"),
        ({}, {}, "[server]\nprt = 1", "driftgate.toml.*prt"),
        ({}, {}, "server = 1", "driftgate.toml.*'server' must be a section"),
        ({}, {}, "[server", r"driftgate\.toml: Expected ']'"),
        ({}, {}, "[timing]\nhung_after_s = 0", "driftgate.toml.*timing.hung_after_s"),
        ({}, {}, "[monitor]\nwindow_s = 7", "driftgate.toml, monitor: window_s must divide an hour"),
        ({"DRIFTGATE__AUTH__MODE": "on"}, {}, "", "the environment, auth.mode.*use one of .*control"),
        ({}, {"server": {"workers": -1}}, "", "the command line.*server.workers"),
    ],
)
def test_a_mistake_names_its_source(
    tmp_path: Path, environment: dict[str, str], overrides: dict[str, Any], file: str, message: str
) -> None:
    """An unknown key, a wrong type or a value out of range is an error that says where it was found."""
    (tmp_path / "driftgate.toml").write_text(file)
    with pytest.raises(InvalidConfiguration, match=f"(?s){message}"):
        load_settings(None, environment, overrides)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    """Only the default file may be missing."""
    with pytest.raises(InvalidConfiguration, match=r"gate\.toml"):
        load_settings(tmp_path / "gate.toml", {}, {})


def test_settings_travel_as_json() -> None:
    """What is printed and handed to children reads back as the same settings."""
    settings = load_settings(None, {"DRIFTGATE__TIMING__GRACE_S": "3.5"}, {"server": {"workers": 3}})
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings
