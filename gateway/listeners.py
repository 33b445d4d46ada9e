"""Listening sockets: bound once by whoever owns them, then shared with children as descriptors.

One shared listener per port, because connections that wait in it survive the end of a worker.
"""

import errno
import ipaddress
import socket
from pathlib import Path

import msgspec

from driftgate.gateway.settings import Settings
from driftgate.models.storage.durable import write_whole

BACKLOG = 2048
PORTS_FILE = "ports.json"


class CannotStart(Exception):
    """A process that cannot do its work here; the text says what to change."""


class CannotListen(CannotStart):
    """An address that cannot be listened on; the text names the option."""


class Ports(msgspec.Struct, frozen=True):
    """The URLs that a running gateway really answers on, with ports that were chosen for it; and its pid.

    `slots` are the numbers of its workers' slots.
    """

    pid: int
    data: str
    admin: str
    metrics: str
    slots: tuple[int, ...] = ()


def bind(host: str, port: int, option: str) -> socket.socket:
    """Listen on `host` and `port` (0: any free port).

    `option` is the prefix of the options that set them ("", "admin-" or "metrics-"). Raises CannotListen.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"--{option}host {host}: this is no address of this machine") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(_why_not(error, host, port, option)) from error
    return listener


def bind_or_keep(kept: socket.socket, host: str, port: int, option: str) -> socket.socket:
    """Return the inherited listener if it listens where it should (port 0: anywhere), else as `bind` does."""
    address = kept.getsockname()
    try:
        wanted = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    except OSError:
        wanted = (host, port)
    if address[0] == wanted[0] and port in (0, address[1]):
        return kept
    kept.close()
    return bind(host, port, option)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(listener: socket.socket) -> str:
    """Return the URL under which a listener can be reached from this machine."""
    return url_at(*listener.getsockname()[:2])


def url_at(host: str, port: int) -> str:
    """Return the URL under which what listens on an address can be reached from this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a key, not an address
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def with_real_ports(
    settings: Settings, data: socket.socket, admin: socket.socket, metrics: socket.socket
) -> Settings:
    """Return the settings with the ports that the listeners really have."""
    server = msgspec.structs.replace(
        settings.server,
        port=data.getsockname()[1],
        admin_port=admin.getsockname()[1],
        metrics_port=metrics.getsockname()[1],
    )
    return msgspec.structs.replace(settings, server=server)


def write_ports(directory: Path, ports: Ports) -> None:
    """Write `ports.json` in one step."""
    write_whole(directory / PORTS_FILE, msgspec.json.encode(ports) + b"\n")


def read_ports(directory: Path) -> Ports | None:
    """Return where the gateway of a state directory answers, or None if it has not said so."""
    try:
        return msgspec.json.decode((directory / PORTS_FILE).read_bytes(), type=Ports)
    except (OSError, msgspec.MsgspecError):
        return None


def _why_not(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: choose another with --{option}port (0 takes any free one) "
            "or stop the process that has it"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights: choose one above 1023 with --{option}port"
    return f"--{option}host {host}: {error.strerror}"
