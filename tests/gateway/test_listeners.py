"""Listeners: bound once, told clearly when they cannot be."""

import socket
from pathlib import Path

import pytest

from driftgate.gateway.access.auth import check_admin_address
from driftgate.gateway.access.tokens import TokenSet
from driftgate.gateway.listeners import (
    CannotListen,
    Ports,
    bind,
    is_loopback,
    read_ports,
    url_of,
    with_real_ports,
    write_ports,
)
from driftgate.gateway.settings import ServerSettings, Settings


def test_a_free_port_is_chosen_and_told() -> None:
    """Port 0 listens on a real port, which goes into the URL and the settings of the children."""
    with bind("127.0.0.1", 0, "") as data, bind("127.0.0.1", 0, "") as admin, bind("::1", 0, "") as metrics:
        server = with_real_ports(Settings(), data, admin, metrics).server
        assert url_of(data) == f"http://127.0.0.1:{server.port}"
        assert url_of(metrics) == f"http://[::1]:{server.metrics_port}"
        assert len({server.port, server.admin_port, server.metrics_port} - {0}) == 3
        socket.create_connection(("127.0.0.1", server.admin_port)).close()


def test_a_wildcard_address_is_shown_as_one_that_works() -> None:
    """Nobody can open http://0.0.0.0 in every browser; the loopback address reaches it."""
    with bind("0.0.0.0", 0, "") as listener:  # noqa: S104 - closed at once
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("option", ["", "admin-", "metrics-"])
def test_a_port_in_use_names_the_option_to_change(option: str) -> None:
    """The error says which port is taken and which option moves it."""
    with bind("127.0.0.1", 0, "") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"port {port} on 127.0.0.1 is in use.*--{option}port"):
            bind("127.0.0.1", port, option)


@pytest.mark.parametrize("host", ["192.0.2.1", "999.1.1.1", "no host\n"])
def test_a_strange_address_names_the_option_to_change(host: str) -> None:
    """An address that is not this machine's, or none at all, is a matter of --host."""
    with pytest.raises(CannotListen, match="--metrics-host"):
        bind(host, 0, "metrics-")


def test_a_port_can_be_bound_again_at_once() -> None:
    """A listener whose connections linger does not keep the next gateway from its port."""
    with bind("127.0.0.1", 0, "") as first:
        port = first.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = first.accept()
        accepted.close()
    client.close()
    bind("127.0.0.1", port, "").close()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - never bound
        ("::", False),
        ("10.0.0.1", False),
        ("gateway.example", False),
        ("", False),
    ],
)
def test_the_admin_api_stays_on_this_machine(host: str, loopback: bool) -> None:
    """Without access tokens an admin address that others can reach is refused at start."""
    assert is_loopback(host) is loopback
    settings = Settings(ServerSettings(admin_host=host))
    if loopback:
        check_admin_address(settings, TokenSet())
    else:
        with pytest.raises(CannotListen, match="--admin-host"):
            check_admin_address(settings, TokenSet())


def test_ports_are_told_in_a_file(tmp_path: Path) -> None:
    """`ports.json` tells scripts where the gateway answers; a missing or damaged one tells nothing."""
    assert read_ports(tmp_path) is None
    ports = Ports(7, "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
    write_ports(tmp_path, ports)
    assert read_ports(tmp_path) == ports
    (tmp_path / "ports.json").write_bytes(b"{")
    assert read_ports(tmp_path) is None
