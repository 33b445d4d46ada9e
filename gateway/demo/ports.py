"""Ports for the demo: those that were asked for, else the defaults, else whichever are free."""

import socket
from dataclasses import dataclass

from driftgate.gateway.settings import ServerSettings

HOST = "127.0.0.1"


class PortTaken(Exception):
    """A port that was asked for is in use; the text names it."""


@dataclass(frozen=True)
class Ports:
    """Where the demo's gateway listens, and what has to be said about it."""

    data: int
    admin: int
    metrics: int
    remarks: tuple[str, ...] = ()


def choose_ports(data: int | None, admin: int | None, metrics: int | None) -> Ports:
    """Return ports that were free a moment ago; raise PortTaken if one that was asked for is not."""
    defaults = ServerSettings()
    wanted = {
        "--port": (data, defaults.port),
        "--admin-port": (admin, defaults.admin_port),
        "--metrics-port": (metrics, defaults.metrics_port),
    }
    chosen: dict[str, int] = {}
    remarks: list[str] = []
    for option, (asked, default) in wanted.items():
        chosen[option] = asked or default
        if asked and not _is_free(asked):
            raise PortTaken(f"port {asked} is in use; give another one with {option}")
        if not asked and not _is_free(default):
            chosen[option] = _any_free(set(chosen.values()))
            remarks.append(f"port {default} is in use, so the demo takes {chosen[option]} ({option})")
    return Ports(chosen["--port"], chosen["--admin-port"], chosen["--metrics-port"], tuple(remarks))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _any_free(but_not: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in but_not:
            return port
