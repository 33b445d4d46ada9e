"""Predictions over ASGI: answered once, and given up with the client that asked."""

import asyncio
from typing import Any, cast

import pytest
from starlette.types import Message

from driftgate.gateway.serving.asgi_predict import AsgiExchange, predict_over_asgi
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.predict import PredictPath

SCOPE: dict[str, Any] = {"type": "http", "path": "/v2/models/m/infer", "headers": []}
BODY = {"type": "http.request", "body": b"{}", "more_body": False}
GONE = {"type": "http.disconnect"}


class Path:
    """The twin of a prediction path: notes what happens to exchanges, and answers when a test says so."""

    def __init__(self) -> None:
        self.running: asyncio.Future[AsgiExchange] = asyncio.get_running_loop().create_future()
        self.ended: list[str] = []

    def open_raw(self, exchange: Exchange, headers: object) -> None:
        """Take a request."""

    def collect(self, exchange: Exchange, size: int) -> None:
        """Take a part of its body."""

    def run(self, exchange: AsgiExchange, body: bytes) -> None:
        """Begin to compute."""
        self.running.set_result(exchange)

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        """Note a request that is not computed."""
        self.ended.append(type(error).__name__)

    def abandon(self, exchange: Exchange) -> None:
        """Note a request that nobody waits for."""
        self.ended.append("abandoned")


class Client:
    """One end of an ASGI connection, with what has come in so far."""

    def __init__(self, *messages: Message) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.incoming.put_nowait(message)
        self.got: list[Message] = []

    async def send(self, message: Message) -> None:
        """Take a part of an answer."""
        self.got.append(message)

    def ask(self, path: Path) -> "asyncio.Task[None]":
        """Send the request."""
        task = predict_over_asgi(cast(PredictPath, path), SCOPE, self.incoming.get, self.send)
        return asyncio.create_task(task)


def test_a_client_that_leaves_gives_up_its_request() -> None:
    """While the model runs the connection is watched: nobody computes on for a client that is gone."""

    async def scene() -> None:
        path, client = Path(), Client(BODY)
        asked = client.ask(path)
        await path.running
        client.incoming.put_nowait(GONE)
        await asyncio.wait_for(asked, 5)
        assert (path.ended, client.got) == (["abandoned"], [])

    asyncio.run(scene())


@pytest.mark.parametrize("more", [[], [BODY, BODY]])
def test_a_client_that_stays_gets_its_answer(more: list[Message]) -> None:
    """The answer is sent once, whatever else comes in, and nothing watches on behind it."""

    async def scene() -> None:
        path, client = Path(), Client(BODY, *more)
        asked = client.ask(path)
        (await path.running).reply(200, b"x-served-by: m\r\n", b"{}", close=False)
        await asyncio.wait_for(asked, 5)
        await asyncio.sleep(0)
        assert (path.ended, [message.get("status") for message in client.got]) == ([], [200, None])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())


def test_a_client_that_leaves_in_its_body_is_refused() -> None:
    """Half a request computes nothing."""

    async def scene() -> None:
        path, client = Path(), Client({**BODY, "more_body": True}, GONE)
        await asyncio.wait_for(client.ask(path), 5)
        assert (path.ended, client.got) == (["ClientGone"], [])

    asyncio.run(scene())
