"""Handing a running gateway over to its successor, so that its ports never refuse anybody.

The old supervisor waits at a socket in the state directory. It gives whoever may own that directory its
listening sockets and the lock; the successor starts workers on slots of its own, and says so when they
accept. The old one then ends control, monitor and probes, gives up the state directory, and drains. Until
that last word either of them may die, and the other goes on serving.
"""

import contextlib
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec

from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.processes.socket_names import reachable

FORMAT = 1
CONNECT_S = 5.0
"""A supervisor looks ten times a second at who waits for it."""
_READY = b"ready"
_YOURS = b"yours"
_MESSAGE_BYTES = 4096
_DESCRIPTORS = 4
_CREDENTIALS = struct.Struct("3i")


class Offer(msgspec.Struct, frozen=True):
    """What the old gateway says of itself; with it come its listeners (data, admin, metrics) and its lock."""

    format: int
    pid: int
    first_slot: int
    workers: int


@dataclass(frozen=True)
class Inheritance:
    """What a successor was given, as descriptors that are its own."""

    offer: Offer
    listeners: tuple[socket.socket, socket.socket, socket.socket]
    lock: int


class Door:
    """The old gateway's side: where a successor knocks. Never blocks."""

    def __init__(self, path: Path) -> None:
        """Wait at `path`, for the owner of the state directory; raises OSError."""
        self._socket = _new_socket()
        self._visitor: socket.socket | None = None
        with reachable(path) as name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            self._socket.bind(name)
        self._socket.setblocking(False)
        self._socket.listen(1)

    def welcome(self, offer: Offer, listeners: list[socket.socket], lock: int) -> None:
        """Let the next one in, if somebody waits and nobody is in, and give it everything."""
        if self._visitor is not None:
            return
        try:
            visitor, _ = self._socket.accept()
        except BlockingIOError:
            return
        visitor.setblocking(False)
        try:
            if _may_take_over(visitor):
                descriptors = [listener.fileno() for listener in listeners] + [lock]
                socket.send_fds(visitor, [msgspec.json.encode(offer)], descriptors)
                self._visitor = visitor
                return
        except OSError:  # it has gone already
            pass
        visitor.close()

    def successor_is_ready(self) -> bool:
        """Tell whether the one who was let in accepts requests by now."""
        return self._heard() == _READY

    def successor_is_gone(self) -> bool:
        """Tell whether there is nobody any more to hand over to."""
        self._heard()
        return self._visitor is None

    def hand_over(self) -> None:
        """Say the last word: from now on state directory and journal are the successor's."""
        if self._visitor is not None:
            with contextlib.suppress(OSError):
                self._visitor.send(_YOURS)

    def close(self) -> None:
        """Let nobody in any more."""
        self._socket.close()
        if self._visitor is not None:
            self._visitor.close()

    def _heard(self) -> bytes:
        if self._visitor is None:
            return b""
        heard = _receive(self._visitor)
        if heard == b"":
            self._visitor.close()
            self._visitor = None
        return heard or b""


class Predecessor:
    """The successor's side."""

    def __init__(self, connection: socket.socket, inherited: Inheritance) -> None:
        self._connection = connection
        self.inherited = inherited

    @classmethod
    def meet(cls, path: Path) -> "Predecessor":
        """Ask the gateway that waits at `path` for everything; raise CannotStart if it gives nothing."""
        connection = _new_socket()
        connection.settimeout(CONNECT_S)
        try:
            with reachable(path) as name:
                connection.connect(name)
            data, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, _DESCRIPTORS)
            inherited = _inheritance(data, descriptors)
        except OSError as error:
            connection.close()
            raise CannotStart(
                "the running gateway does not hand itself over: another one may be replacing it just now, or "
                "it is of an earlier release; stop it instead (SIGTERM), then start this one"
            ) from error
        connection.setblocking(False)
        return cls(connection, inherited)

    def say_ready(self) -> None:
        """Say that the new workers accept requests."""
        with contextlib.suppress(OSError):
            self._connection.send(_READY)

    def has_left(self) -> bool:
        """Tell whether the old gateway gave up the state directory, by its word or by its end."""
        return _receive(self._connection) is not None

    def close(self) -> None:
        """End the conversation; before the last word this leaves everything to the old gateway."""
        self._connection.close()


def _inheritance(data: bytes, descriptors: list[int]) -> Inheritance:
    try:
        offer = msgspec.json.decode(data, type=Offer)
    except msgspec.MsgspecError as error:
        raise OSError("not an offer") from error
    if offer.format != FORMAT or len(descriptors) != _DESCRIPTORS:
        raise OSError("not an offer of this format")
    *listeners, lock = descriptors
    data_listener, admin, metrics = (socket.socket(fileno=number) for number in listeners)
    return Inheritance(offer, (data_listener, admin, metrics), lock)


def _receive(connection: socket.socket) -> bytes | None:
    """Return the next message, nothing (b"") at its end, None if there is none yet."""
    try:
        return connection.recv(_MESSAGE_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _may_take_over(visitor: socket.socket) -> bool:
    """Whether a process runs as our own user or as root."""
    packed = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(packed)
    return user in (0, os.geteuid())
