"""One HTTP/1.1 connection of a load generator: request bytes made beforehand, one answer at a time.

A connection never has more than one request on its way, so a lost one costs exactly one request.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import urlsplit

import httptools


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Address":
        """Return host and port of an http URL; raise ValueError for any other kind."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url!r} is not a URL such as http://127.0.0.1:8000")
        return cls(parts.hostname, parts.port or 80)


@dataclass(slots=True)
class Answer:
    """What came back: status, the version named in `x-served-by` ("" without one) and the body."""

    status: int = 0
    served_by: bytes = b""
    body: bytes = b""


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def opened(self, connection: "Connection") -> None:
        """It can be sent on."""

    def answered(self, connection: "Connection", answer: Answer) -> None:
        """The answer to what was sent last is complete; `connection.usable` tells whether it stays open."""

    def lost(self, connection: "Connection") -> None:
        """It is gone; `connection.busy` tells whether a request was on its way."""


def render(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection(asyncio.Protocol):
    """A kept connection. `usable` while it is open and the server has not announced its end."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer()
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.busy = False
        self.usable = False

    def send(self, request: bytes) -> None:
        """Put a request on its way; only while `usable` and not `busy`."""
        if self._transport is None:
            raise RuntimeError("this connection is not open")
        self.busy = True
        self._transport.write(request)

    def abort(self) -> None:
        """Give the connection up, and with it what is on its way."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        self._transport = cast(asyncio.Transport, transport)
        self.usable = True
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP costs the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        self.usable = False
        self._transport = None
        self._owner.lost(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the header that names the version."""
        if len(name) == 11 and name.lower() == b"x-served-by":
            self._answer.served_by = value

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        answer, self._answer = self._answer, Answer()
        answer.status = self._parser.get_status_code()
        if answer.status < 200:
            return
        answer.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self.busy = False
        if not self._parser.should_keep_alive():
            self.usable = False
            if self._transport is not None:
                self._transport.close()
        self._owner.answered(self, answer)
