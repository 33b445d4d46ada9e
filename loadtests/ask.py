"""Single requests on connections of their own, for the loop of a running load test."""

import asyncio
import json
from typing import Any

from loadtests.gateway import Failed
from loadtests.wire import Address, Answer, Connection, render

PATIENCE_S = 150.0


class Line:
    """One kept connection to ask on, one request at a time."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._answer: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, address: Address) -> "Line":
        """Return an open line; raise OSError if nobody listens."""
        line = cls()
        await asyncio.get_running_loop().create_connection(
            lambda: Connection(line), address.host, address.port
        )
        return line

    async def ask(self, request: bytes, timeout_s: float = PATIENCE_S) -> Answer:
        """Return the answer; raise OSError if the connection is lost, TimeoutError if it takes too long."""
        if self._connection is None:
            raise ConnectionResetError("the line is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(request)
        async with asyncio.timeout(timeout_s):
            return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.abort()

    def opened(self, connection: Connection) -> None:
        """Take the connection."""
        self._connection = connection

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Hand the answer to who waits for it."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def lost(self, connection: Connection) -> None:
        """Tell who waits that nothing will come."""
        self._connection = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the answer"))


async def ask(address: Address, request: bytes, timeout_s: float = PATIENCE_S) -> Answer:
    """Return the answer to one request; raise OSError without one, TimeoutError if it takes too long."""
    line = await Line.open(address)
    try:
        return await line.ask(request, timeout_s)
    finally:
        line.close()


async def promote(admin: Address, model: str, version: int) -> int:
    """Give a version all traffic and return the generation that does so; raise Failed if it is refused."""
    body = json.dumps({"version": version}).encode()
    answer = await ask(admin, render("POST", f"/api/models/{model}/promote", body))
    if answer.status != 200:
        raise Failed(f"promote {model} {version}: {answer.status} {answer.body[:300]!r}")
    return int(json.loads(answer.body)["generation"])


async def status_of(address: Address, path: str) -> int:
    """Return the status of a GET, 0 if nobody answers within a second."""
    try:
        return (await ask(address, render("GET", path), 1.0)).status
    except OSError:
        return 0


async def document(address: Address, path: str) -> Any:
    """Return the JSON document at a path; raise Failed for anything but 200."""
    answer = await ask(address, render("GET", path))
    if answer.status != 200:
        raise Failed(f"GET {path}: {answer.status} {answer.body[:300]!r}")
    return json.loads(answer.body)
