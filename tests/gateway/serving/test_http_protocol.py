"""Predictions straight from the HTTP protocol: what bytes mean, and what a client can make us keep."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from driftgate.gateway.http.answers import Header
from driftgate.gateway.http.headers import RequestHeaders, read_headers
from driftgate.gateway.http.listening import server_config
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.http_protocol import (
    MAX_KNOWN_HEADS,
    AnswerStarts,
    GatewayProtocol,
    KnownHead,
    KnownHeads,
)
from driftgate.gateway.serving.predict import PredictPath

PATH = "/v2/models/m/infer"
PATIENCE_S = 30.0


class Open:
    """The in-memory twin of an admission that has nothing to ask."""

    lanes: tuple[()] = ()


class Full:
    """The in-memory twin of an admission whose queues are full."""

    lanes = (1,)

    def refuses(self, endpoint: object, headers: RequestHeaders) -> bool:
        """Refuse everything."""
        return True


class Echo:
    """The in-memory twin of the prediction path: answers each body with `copies` of it, at once."""

    closing = False

    def __init__(self, copies: int = 1, admission: Open | Full | None = None) -> None:
        self.endpoints = {PATH: object()}
        self.admission = admission or Open()
        self.bodies: list[bytes] = []
        self._copies = copies

    def new_id_field(self) -> bytes:
        """Always the same."""
        return b"x-prediction-id: 7\r\n"

    def open(self, exchange: Exchange, headers: RequestHeaders) -> None:
        """Begin."""
        exchange.headers = headers

    def open_raw(self, exchange: Exchange, raw_headers: list[Header]) -> RequestHeaders:
        """Begin with headers that are still to be read."""
        self.open(exchange, read_headers(raw_headers))
        return exchange.headers

    def collect(self, exchange: Exchange, size_bytes: int) -> None:
        """Any body is fine."""

    def run(self, exchange: Exchange, body: bytes) -> None:
        """Answer."""
        self.bodies.append(body)
        exchange.reply(200, b"", body * self._copies, False)

    def abandon(self, exchange: Exchange) -> None:
        """Nothing is under way when a client goes."""


class Connection:
    """A client's connection, and the server's side of it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: ServerState
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._state = state

    @property
    def served(self) -> GatewayProtocol:
        """The protocol at the other end."""
        (protocol,) = self._state.connections
        assert isinstance(protocol, GatewayProtocol)
        return protocol

    def send(self, data: bytes) -> None:
        """Send without waiting."""
        self._writer.write(data)

    async def answer(self) -> bytes:
        """Return the body of the next answer."""
        head, body = await self.whole_answer()
        assert head.startswith(b"HTTP/1.1 200 ")
        return body

    async def whole_answer(self) -> tuple[bytes, bytes]:
        """Return head and body of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return head, await self._reader.readexactly(length)


@asynccontextmanager
async def connected(echo: Echo) -> AsyncIterator[Connection]:
    """Serve on a free port of this machine and connect to it."""

    async def nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("only predictions are asked for")

    state = ServerState()
    loop = asyncio.get_running_loop()
    make = partial(GatewayProtocol, cast(PredictPath, echo), KnownHeads(), AnswerStarts())
    config = server_config(nothing_else, 1)
    server = await loop.create_server(
        lambda: make(config=config, server_state=state, app_state={}, _loop=loop), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield Connection(reader, writer, state)
    finally:
        writer.close()
        server.close()


def request_of(body: bytes, blank_lines: bytes = b"") -> bytes:
    """Return the bytes of a prediction request."""
    return blank_lines + b"POST %b HTTP/1.1\r\nhost: m\r\ncontent-length: %d\r\n\r\n%b" % (
        PATH.encode(),
        len(body),
        body,
    )


async def until(done: Callable[[], object]) -> None:
    """Poll until `done`, within reason."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def test_what_is_refused_unread_says_why_and_has_an_id() -> None:
    """Where a queue is full, requests get 503 unread: with the reason, when to come back, and an id."""

    async def scenario() -> None:
        async with connected(echo := Echo(admission=Full())) as connection:
            for _ in range(2):
                connection.send(request_of(b"one"))
                head, body = await connection.whole_answer()
                assert head.startswith(b"HTTP/1.1 503 ")
                assert {b"x-shed-reason: queue", b"retry-after: 1", b"x-prediction-id: 7"} <= set(
                    head.splitlines()
                )
                assert b"try again" in body
            assert echo.bodies == []

    asyncio.run(scenario())


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_body_is_the_same_however_it_arrives(parts: int) -> None:
    """A head that is known or new, whole or in pieces, gives the handler the body and nothing else."""

    async def scenario() -> None:
        async with connected(Echo()) as connection:
            for body in (b"one", b"two", b"three"):
                data = request_of(body)
                size = -(-len(data) // parts)
                for start in range(0, len(data), size):
                    connection.send(data[start : start + size])
                    await asyncio.sleep(0)
                assert await connection.answer() == body

    asyncio.run(scenario())


def test_offers_of_another_protocol_are_ignored_however_many() -> None:
    """Requests that offer one are answered as if they did not, also when very many come at once."""
    offer = b"host: m\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings"
    many = 2000

    async def scenario() -> None:
        async with connected(Echo()) as connection:
            connection.send(request_of(b"body").replace(b"host: m", offer) * many)
            for _ in range(many):
                assert await connection.answer() == b"body"

    asyncio.run(scenario())


def test_blank_lines_are_never_taken_for_a_head() -> None:
    """What is skipped before one request says nothing about the next one that begins so."""

    async def scenario() -> None:
        async with connected(Echo()) as connection:
            second = request_of(b"second", b"\r\n\r\n")
            first = request_of(b"x" * (len(second) - 4), b"\r\n\r\n")
            for data, body in ((first, b"x" * (len(second) - 4)), (second, b"second")):
                connection.send(data)
                assert await connection.answer() == body

    asyncio.run(scenario())


def test_a_client_that_takes_no_answers_is_read_no_further() -> None:
    """Answers that nobody takes stay few; once they are taken, the connection goes on."""

    async def scenario() -> None:
        echo = Echo(copies=200)
        body = b"x" * 1024
        async with connected(echo) as connection:
            connection.send(request_of(body))
            await until(lambda: echo.bodies)
            served = connection.served

            async def ask(number: int) -> None:
                connection.send(request_of(body))
                await until(lambda: len(echo.bodies) == number or served.flow.read_paused)

            sent = 1
            while not served.flow.read_paused:
                sent += 1
                assert sent < 1000
                await ask(sent)
            assert served.transport.get_write_buffer_size() < 2**20
            connection.send(request_of(b"last"))
            for _ in range(sent):
                assert len(await connection.answer()) == 200 * len(body)
            assert await connection.answer() == 200 * b"last"

    asyncio.run(scenario())


def test_known_heads_are_bounded() -> None:
    """However many different heads clients send, and however long, little is kept."""
    heads = KnownHeads()
    meaning = KnownHead(PATH, RequestHeaders(content_length=1), True)
    for number in range(MAX_KNOWN_HEADS + 1):
        heads.learn(b"POST %d" % number, meaning)
    long = b"POST " + b"x" * 4096
    heads.learn(long, meaning)
    assert heads.find(b"POST 0") is None
    assert heads.find(b"POST %d" % MAX_KNOWN_HEADS) is meaning
    assert heads.find(long) is None
