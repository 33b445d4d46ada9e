"""Kept connections to one server: opened, lent out, replaced when the server closes them."""

import asyncio
from collections import deque
from typing import Protocol

from loadtests.wire import Address, Answer, Connection

FIRST_RETRY_S = 0.01
LONGEST_RETRY_S = 0.5


class User(Protocol):
    """Who uses the connections."""

    def free(self) -> None:
        """A connection can be taken."""

    def answered(self, connection: Connection, answer: Answer) -> None:
        """The answer to what was sent on a connection is here."""

    def lost(self, connection: Connection) -> None:
        """A connection went away with a request on its way."""


class Pool:
    """As many connections as asked for. What is closed is opened anew, with growing pauses if refused."""

    def __init__(self, user: User, address: Address, size: int) -> None:
        self._user = user
        self._address = address
        self._size = size
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._openers: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Open all; raise OSError if the server cannot be reached at all."""
        await asyncio.gather(*(self._connect() for _ in range(self._size)))

    @property
    def can_connect(self) -> bool:
        """Whether any connection is open."""
        return bool(self._all)

    def take(self) -> Connection | None:
        """Return the connection that has been idle longest, None if all are busy."""
        while self._idle:
            connection = self._idle.popleft()
            if connection.usable:
                return connection
        return None

    def close(self) -> None:
        """Close all."""
        self._closed = True
        for opener in self._openers:
            opener.cancel()
        for connection in tuple(self._all):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        """Take a new connection into use."""
        self._all.add(connection)
        self._idle.append(connection)
        self._user.free()

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Pass the answer on, then lend the connection out again."""
        self._user.answered(connection, answer)
        if connection.usable:
            self._idle.append(connection)
            self._user.free()

    def lost(self, connection: Connection) -> None:
        """Pass the loss on, then open another."""
        self._all.discard(connection)
        if connection.busy:
            self._user.lost(connection)
        if not self._closed:
            opener = asyncio.get_running_loop().create_task(self._reopen())
            self._openers.add(opener)
            opener.add_done_callback(self._openers.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(self), self._address.host, self._address.port)

    async def _reopen(self) -> None:
        pause_s = FIRST_RETRY_S
        while not self._closed:
            try:
                return await self._connect()
            except OSError:
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_RETRY_S, 2 * pause_s)
