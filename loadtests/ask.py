"""One request on a connection of its own, for the loop of a running load test."""

import asyncio
import json
from typing import Any

from loadtests.gateway import Failed
from loadtests.wire import Address, Answer, Connection, render


class _Asker:
    def __init__(self, request: bytes, answer: "asyncio.Future[Answer]") -> None:
        self._request = request
        self._answer = answer

    def opened(self, connection: Connection) -> None:
        connection.send(self._request)

    def answered(self, connection: Connection, answer: Answer) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)
        connection.abort()

    def lost(self, connection: Connection) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the answer"))


async def ask(address: Address, request: bytes, timeout_s: float = 150.0) -> Answer:
    """Return the answer to one request; raise OSError without one, TimeoutError if it takes too long."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()
    async with asyncio.timeout(timeout_s):
        await loop.create_connection(lambda: Connection(_Asker(request, answer)), address.host, address.port)
        return await answer


async def promote(admin: Address, model: str, version: int) -> float:
    """Give a version all traffic; return how many seconds that took, raise Failed if it is refused."""
    began = asyncio.get_running_loop().time()
    body = json.dumps({"version": version}).encode()
    answer = await ask(admin, render("POST", f"/api/models/{model}/promote", body))
    if answer.status != 200:
        raise Failed(f"promote {model} {version}: {answer.status} {answer.body[:300]!r}")
    return asyncio.get_running_loop().time() - began


async def status_of(address: Address, path: str) -> int:
    """Return the status of a GET, 0 if nobody answers."""
    try:
        return (await ask(address, render("GET", path), 5.0)).status
    except OSError:
        return 0


async def document(address: Address, path: str) -> Any:
    """Return the JSON document at a path."""
    return json.loads((await ask(address, render("GET", path))).body)
