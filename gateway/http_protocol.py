"""uvicorn's HTTP protocol with a short way for predictions: no task, no scope and no messages in between.

A prediction is read, handed over and answered from the protocol's own callbacks. Whatever is not a plain POST
to a known prediction path, or comes while another request of its connection is being answered, goes through
uvicorn and ASGI as usual.
"""

from typing import Any, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from driftgate.gateway.exchange import Exchange
from driftgate.gateway.headers import RequestHeaders
from driftgate.gateway.predict import PredictPath

MAX_KNOWN_HEADS = 4096
MAX_KNOWN_BYTES = 2048

NOT_HTTP = b'{"error":"this is not a valid HTTP/1.1 request"}'


class KnownHead(NamedTuple):
    """What a request's head means: everything from its first line to the blank one."""

    path: str
    headers: RequestHeaders
    keep_alive: bool


class KnownHeads:
    """Heads of predictions that were parsed before: the same bytes mean the same.

    Clients repeat themselves: their heads differ by little more than the length of the body.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}

    def find(self, head: bytes) -> KnownHead | None:
        """Return what this head means, if it is known."""
        return self._known.get(head)

    def learn(self, head: bytes, meaning: KnownHead) -> None:
        """Remember a head that states its body's length; forget all when there are too many.

        Blank lines before a request are skipped by the parser, so a head must begin where the request does.
        """
        whole = head.startswith(b"POST ") and len(head) <= MAX_KNOWN_BYTES
        if whole and meaning.headers.content_length:
            if len(self._known) >= MAX_KNOWN_HEADS:
                self._known.clear()
            self._known[head] = meaning


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

    def reply(self, status: int, fields: bytes, body: bytes, close: bool) -> None:
        """Write the answer in one piece; does nothing if the client is gone."""
        if self.response_complete or self.disconnected:
            return
        self.response_complete = True
        self._protocol.answer(status, fields, body, close or not self.keep_alive)


class GatewayProtocol(HttpToolsProtocol):
    """One connection. `predict` answers its predictions; all else is uvicorn's."""

    cycle: Any  # one of uvicorn's or an HttpExchange

    def __init__(self, predict: PredictPath, heads: KnownHeads, **given: Any) -> None:
        super().__init__(**given)
        self._predict = predict
        self._heads = heads
        self._between = True  # requests: every byte so far belongs to one that is complete
        self._head = b""
        self._idle_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Run a prediction whose head is known and that is all of `data`; leave the rest to the parser."""
        if self._between and self._is_free():
            end = data.find(b"\r\n\r\n") + 4
            self._head = data[:end] if end > 4 else b""
            known = self._heads.find(self._head)
            if (
                known is not None
                and known.headers.content_length == len(data) - end
                and known.path in self._predict.endpoints
            ):
                self._run_known(known, data[end:])
                return
        else:
            self._head = b""
        self._feed(data)

    def on_message_begin(self) -> None:
        """Note the request; uvicorn's own preparations are made up for where they are needed."""
        self._between = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Take the short way if this is a prediction and the connection is free, else uvicorn's."""
        if self.parser.should_upgrade():
            return  # told again without it
        path = self.url.decode("latin-1")
        if path in self._predict.endpoints and self.parser.get_method() == b"POST" and self._is_free():
            self._begin(path)
            return
        self._head = b""
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
        elif not exchange.response_complete:
            exchange.chunks.append(body)
            exchange.size += len(body)
            if exchange.size > self._predict.max_body_bytes:
                self._predict.refuse(exchange, self._predict.too_large())

    def on_message_complete(self) -> None:
        """Run a prediction that has come in whole."""
        if self.parser.should_upgrade():
            return
        self._between = True
        self._head = b""
        exchange = self.cycle
        if type(exchange) is not HttpExchange:
            super().on_message_complete()
        elif not exchange.response_complete:
            chunks = exchange.chunks
            self._predict.run(exchange, chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def on_response_complete(self) -> None:
        """Let the next request come; one clock per worker, not a timer per answer, ends idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._idle_since = self.loop.time()
        if not self.flow.write_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """Take no more requests from a client that does not read its answers; they would pile up here."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on with a client that reads again."""
        super().resume_writing()
        if not self.pipeline:
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the shape of every other error, and close."""
        self.transport.write(
            b"%bcontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (STATUS_LINE[400], len(NOT_HTTP), NOT_HTTP)
        )
        self.transport.close()

    def close_if_idle(self, before: float) -> None:
        """Close the connection if no request is in progress and the last one ended before this loop time."""
        if self._between and self._is_free() and self._idle_since < before:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is being computed for this client."""
        super().connection_lost(exc)
        exchange = self.cycle
        if type(exchange) is HttpExchange and not exchange.response_complete:
            exchange.response_complete = True
            self._predict.abandon(exchange)

    def answer(self, status: int, fields: bytes, body: bytes, close: bool) -> None:
        """Write an answer and let the connection go on, or close it."""
        lines = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            lines.append(b"%b: %b\r\n" % (name, value))
        if close:
            lines.append(b"connection: close\r\n")
        lines.append(b"%bcontent-length: %d\r\n\r\n%b" % (fields, len(body), body))
        self.transport.write(b"".join(lines))
        if close:
            self.transport.close()
        self.on_response_complete()

    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = self._parse(rest)
        except HttpParserError:
            self.send_400_response("")

    def _parse(self, data: memoryview) -> memoryview:
        """Let the parser read and return what it left: all that follows a head which offers a protocol."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                raise HttpParserError("nothing is tunnelled here") from None
            self._tell_again()
            return data[upgrade.args[0] :]
        return data[len(data) :]

    def _tell_again(self) -> None:
        """Go on as if the head had not offered another protocol, as some clients do in every first request.

        The parser cannot be told to read the body of such a request; another one gets the head without it.
        """
        lines = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        start = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"".join([start, *lines, b"\r\n"]))

    def _run_known(self, known: KnownHead, body: bytes) -> None:
        exchange = self.cycle = HttpExchange(known.path, self, known.keep_alive)
        self._predict.open(exchange, known.headers)
        self._predict.run(exchange, body)

    def _begin(self, path: str) -> None:
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        exchange = self.cycle = HttpExchange(path, self, keep_alive)
        headers = self._predict.open_raw(exchange, self.headers)
        if exchange.response_complete:
            return
        if self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif headers is not None:
            self._heads.learn(self._head, KnownHead(path, headers, keep_alive))
