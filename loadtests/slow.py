"""Clients that are in no hurry: silent ones, and ones that send a part of a request, or byte after byte."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

from loadtests.scenario import SlowClients
from loadtests.wire import Address

HEAD = b"POST /v2/models/none/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


class Manner(NamedTuple):
    """How a client is slow: what it sends at once, and what it goes on to send byte by byte."""

    name: str
    at_once: bytes
    dripping: bytes


MANNERS = (
    Manner("silent", b"", b""),
    Manner("dripping a head", b"", HEAD),
    Manner("half a head", HEAD[:40], b""),
    Manner("half a body", HEAD + b'{"inputs": [', b""),
    Manner("dripping a body", HEAD, b" " * 100_000),
)


@dataclass(frozen=True)
class SlowOutcome:
    """What became of slow connections; the ages are of those that the server closed, in seconds."""

    opened: int
    closed_by_server: int
    youngest_closed_s: float | None
    oldest_closed_s: float | None
    still_open: "Counter[str]"


class _Dripper(asyncio.Protocol):
    """Sends one byte at a time until the server has had enough."""

    def __init__(self, manner: Manner, interval_s: float) -> None:
        self.manner = manner
        self._rest = iter(manner.dripping)
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.transport: asyncio.Transport | None = None
        self.closed_after_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.manner.at_once:
            self.transport.write(self.manner.at_once)
        self._drip()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.closed_after_s = self._loop.time() - self._began

    def _drip(self) -> None:
        if self.transport is not None and (byte := next(self._rest, None)) is not None:
            self.transport.write(bytes([byte]))
            self._loop.call_later(self._interval_s, self._drip)


async def hold_slowly(clients: SlowClients, address: Address, until: asyncio.Event) -> SlowOutcome:
    """Keep slow clients of every manner until the event is set and tell what the server did with them."""
    loop = asyncio.get_running_loop()
    interval_s = 1 / clients.bytes_per_s
    drippers = []
    for number in range(clients.connections):
        manner = MANNERS[number % len(MANNERS)]
        make = partial(_Dripper, manner, interval_s)
        _, dripper = await loop.create_connection(make, address.host, address.port)
        drippers.append(dripper)
    await until.wait()
    ages = [dripper.closed_after_s for dripper in drippers if dripper.closed_after_s is not None]
    still_open = Counter(dripper.manner.name for dripper in drippers if dripper.transport is not None)
    for dripper in drippers:
        if dripper.transport is not None:
            dripper.transport.abort()
    return SlowOutcome(len(drippers), len(ages), min(ages, default=None), max(ages, default=None), still_open)
