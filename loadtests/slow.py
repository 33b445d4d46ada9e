"""Clients that send a request byte by byte and never finish it."""

import asyncio
from dataclasses import dataclass
from typing import cast

from loadtests.scenario import SlowClients
from loadtests.wire import Address

HEAD = b"POST /v2/models/none/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


@dataclass(frozen=True)
class SlowOutcome:
    """What became of slow connections; the ages are of those that the server closed, in seconds."""

    opened: int
    closed_by_server: int
    youngest_closed_s: float | None
    oldest_closed_s: float | None


class _Dripper(asyncio.Protocol):
    """Sends one byte at a time until the server has had enough."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sent = 0
        self.transport: asyncio.Transport | None = None
        self.closed_after_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._drip()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.closed_after_s = self._loop.time() - self._began

    def _drip(self) -> None:
        if self.transport is not None:
            self.transport.write(HEAD[self._sent : self._sent + 1] or b" ")
            self._sent += 1
            self._loop.call_later(self._interval_s, self._drip)


async def hold_slowly(clients: SlowClients, address: Address, until: asyncio.Event) -> SlowOutcome:
    """Keep slow clients until the event is set and tell what the server did with them."""
    loop = asyncio.get_running_loop()
    drippers: list[_Dripper] = []
    for _ in range(clients.connections):
        _, dripper = await loop.create_connection(
            lambda: _Dripper(1 / clients.bytes_per_s), address.host, address.port
        )
        drippers.append(dripper)
    await until.wait()
    ages = [dripper.closed_after_s for dripper in drippers if dripper.closed_after_s is not None]
    for dripper in drippers:
        if dripper.transport is not None:
            dripper.transport.abort()
    return SlowOutcome(len(drippers), len(ages), min(ages, default=None), max(ages, default=None))
