"""A small HTTP server that does one thing wrong on purpose, for tests of the load generator."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from queue import SimpleQueue
from typing import NamedTuple

import httptools

Reply = Callable[[int], bytes | None]
"""From the number of the request to the bytes of the answer; None closes the connection instead."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-served-by: version=1, arm=stable\r\n\r\n{}"


class StandIn(asyncio.Protocol):
    """One connection; `count` numbers the requests of all of them, from 1."""

    def __init__(self, reply: Reply, all_of_them: "list[StandIn]", count: Iterator[int]) -> None:
        all_of_them.append(self)
        self._reply = reply
        self._count = count
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Answer, or close."""
        assert self._transport is not None
        answer = self._reply(next(self._count))
        if answer is None:
            self._transport.close()
        elif answer:
            self._transport.write(answer)


class Running(NamedTuple):
    """A server in a thread: how to end it, and where it listens."""

    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event
    port: int


@contextmanager
def stand_in(reply: Reply) -> Iterator[int]:
    """Serve in a thread of its own and give the port."""
    told: SimpleQueue[Running] = SimpleQueue()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(reply, told)))
    thread.start()
    running = told.get(timeout=5)
    try:
        yield running.port
    finally:
        running.loop.call_soon_threadsafe(running.ended.set)
        thread.join()


async def _serve(reply: Reply, told: "SimpleQueue[Running]") -> None:
    loop, ended, numbers = asyncio.get_running_loop(), asyncio.Event(), count(1)
    connections: list[StandIn] = []
    server = await loop.create_server(lambda: StandIn(reply, connections, numbers), "127.0.0.1", 0)
    told.put(Running(loop, ended, int(server.sockets[0].getsockname()[1])))
    await ended.wait()
    server.close()
    for connection in connections:
        connection.close()


def stalling(at: int, seconds: float) -> Reply:
    """Stand still once, at one request."""

    def reply(number: int) -> bytes:
        if number == at:
            time.sleep(seconds)
        return OK

    return reply
