"""uvicorn's HTTP protocol with a short way for predictions: no task, no scope and no messages in between.

A prediction is read, handed over and answered from the protocol's own callbacks. Whatever is not a plain POST
to a known prediction path, or comes while another request of its connection is being answered, goes through
uvicorn and ASGI as usual.
"""

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from driftgate.gateway.answers import CLOSE, Header
from driftgate.gateway.exchange import Exchange
from driftgate.gateway.predict import PredictPath


class _Ignored:
    """Stands where uvicorn keeps an event for a task that waits for the body; here nobody waits."""

    def set(self) -> None:
        """Tell nobody."""


_NOBODY = _Ignored()


class HttpExchange(Exchange):
    """An exchange on one HTTP connection; it stands where uvicorn keeps the connection's current cycle."""

    __slots__ = (
        "_protocol",
        "chunks",
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
        "size",
    )

    def __init__(self, path: str, protocol: "GatewayProtocol", keep_alive: bool) -> None:
        super().__init__(path)
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.chunks: list[bytes] = []
        self.size = 0
        self.response_complete = False
        self.message_event = _NOBODY
        self.disconnected = False

    def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Write the answer in one piece; does nothing if the client is gone."""
        if self.response_complete or self.disconnected:
            return
        self.response_complete = True
        self._protocol.answer(self, status, headers, body)


class GatewayProtocol(HttpToolsProtocol):
    """One connection. `predict` answers its predictions; all else is uvicorn's."""

    cycle: Any  # one of uvicorn's or an HttpExchange

    def __init__(self, predict: PredictPath, **given: Any) -> None:
        super().__init__(**given)
        self._predict = predict

    def on_message_begin(self) -> None:
        """Note the request; uvicorn's own preparations are made up for where they are needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Take the short way if this is a prediction and the connection is free, else uvicorn's."""
        path = self.url.decode("latin-1")
        if path in self._predict.endpoints and self._is_free() and self.parser.get_method() == b"POST":
            self._begin(path)
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Collect a prediction's body, within its limit."""
        exchange = self.cycle
        if type(exchange) is not HttpExchange:
            super().on_body(body)
        elif not exchange.settled and not exchange.response_complete:
            exchange.chunks.append(body)
            exchange.size += len(body)
            if exchange.size > self._predict.max_body_bytes:
                self._predict.refuse(exchange, self._predict.too_large())

    def on_message_complete(self) -> None:
        """Run a prediction that has come in whole."""
        exchange = self.cycle
        if type(exchange) is not HttpExchange:
            super().on_message_complete()
        elif not exchange.response_complete:
            chunks = exchange.chunks
            exchange.chunks = []
            self._predict.run(exchange, chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is being computed for this client."""
        super().connection_lost(exc)
        exchange = self.cycle
        if type(exchange) is HttpExchange and not exchange.response_complete:
            exchange.response_complete = True
            self._predict.abandon(exchange)

    def answer(self, exchange: HttpExchange, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Write an answer and let the connection go on, or close it."""
        keep_alive = exchange.keep_alive and CLOSE not in headers
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        if not keep_alive and CLOSE not in headers:
            lines.append(b"connection: close\r\n")
        lines.append(b"content-length: %d\r\n\r\n" % len(body))
        lines.append(body)
        self.transport.write(b"".join(lines))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _is_free(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.parser.should_upgrade()

    def _begin(self, path: str) -> None:
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        exchange = HttpExchange(path, self, keep_alive)
        self.cycle = exchange
        try:
            self._predict.open(exchange, self.headers)
        except Exception as error:  # the edge: whatever is wrong with the headers is answered
            self._predict.refuse(exchange, error)
            return
        if self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
