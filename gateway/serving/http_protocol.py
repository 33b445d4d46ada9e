"""uvicorn's HTTP protocol with a short way for predictions: no task, no scope and no messages in between.

A prediction is read, handed over and answered from the protocol's own callbacks. Whatever is not a plain POST
to a known prediction path, or comes while another request of its connection is being answered, goes through
uvicorn and ASGI as usual.
"""

from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from driftgate.gateway.errors import BadRequest, GatewayError
from driftgate.gateway.http.bounded_protocol import DEFAULT_LIMITS, BoundedProtocol
from driftgate.gateway.http.connection_limits import ConnectionLimits, Refused
from driftgate.gateway.http.headers import RequestHeaders
from driftgate.gateway.serving import admission
from driftgate.gateway.serving.endpoints import Endpoint
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.predict import PredictPath

MAX_KNOWN_HEADS = 4096
MAX_KNOWN_BYTES = 2048


UNREAD = RequestHeaders()


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


class AnswerStarts:
    """What answers begin with: the line of their status, and the headers that all have, such as the date."""

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] | None = None
        self._starts: dict[int, bytes] = {}

    def of(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the first lines; `headers` is another list whenever one of them changes."""
        if headers is not self._headers:
            self._headers = headers
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            lines = (STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers))
            start = self._starts[status] = b"".join(lines)
        return start


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
    )

    def __init__(self, path: str, protocol: "GatewayProtocol", keep_alive: bool) -> None:
        super().__init__(path)
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.chunks: list[bytes] = []
        self.response_complete = False
        self.message_event = _NOBODY
        self.disconnected = False

    @property
    def client(self) -> str:
        """The address of the connection's other end."""
        client = self._protocol.client
        return str(client[0]) if client else ""

    def reply(self, status: int, fields: bytes, body: bytes, close: bool) -> None:
        """Write the answer in one piece; does nothing if the client is gone."""
        if self.response_complete or self.disconnected:
            return
        self.response_complete = True
        self._protocol.answer(status, fields, body, close or not self.keep_alive)


class GatewayProtocol(BoundedProtocol):
    """One connection. `predict` answers its predictions; all else is uvicorn's."""

    def __init__(
        self,
        predict: PredictPath,
        heads: KnownHeads,
        starts: AnswerStarts,
        limits: ConnectionLimits = DEFAULT_LIMITS,
        **given: Any,
    ) -> None:
        super().__init__(limits, **given)
        self._predict = predict
        self._heads = heads
        self._starts = starts
        self._admission = predict.admission
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Run a prediction whose head is known and that is all of `data`; leave the rest to the parser."""
        if self._between and self._is_free():
            end = data.find(b"\r\n\r\n") + 4
            self._head = data[:end] if end > 4 else b""
            known = self._heads.find(self._head)
            if known is not None and known.headers.content_length == len(data) - end:
                endpoint = self._predict.endpoints.get(known.path)
                if endpoint is not None:
                    self._run_known(known, endpoint, data[end:])
                    return
        else:
            self._head = b""
        self._feed(data)

    def on_body(self, body: bytes) -> None:
        """Collect a prediction's body, within its limit and what this worker can hold."""
        exchange = self.cycle
        if type(exchange) is not HttpExchange:
            super().on_body(body)
        elif not exchange.response_complete:
            exchange.chunks.append(body)
            try:
                self._predict.collect(exchange, len(body))
            except GatewayError as error:
                self._refuse_exchange(exchange, error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is being computed for this client."""
        super().connection_lost(exc)
        exchange = self.cycle
        if type(exchange) is HttpExchange and not exchange.response_complete:
            exchange.response_complete = True
            self._predict.abandon(exchange)

    def answer(self, status: int, fields: bytes, body: bytes, close: bool) -> None:
        """Write an answer and let the connection go on, or close it."""
        start = self._starts.of(status, self.server_state.default_headers)
        end = b"connection: close\r\n" if close else b""
        self.transport.write(b"%b%b%bcontent-length: %d\r\n\r\n%b" % (start, end, fields, len(body), body))
        if close:
            self.transport.close()
        self.on_response_complete()

    def _begin(self) -> bool:
        """Take the short way if this is a prediction and the connection is free."""
        path = self.url.decode("latin-1")
        endpoint = self._predict.endpoints.get(path)
        if endpoint is None or self.parser.get_method() != b"POST" or not self._is_free():
            self._head = b""
            return False
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        exchange = self.cycle = HttpExchange(path, self, keep_alive)
        if self._admission.lanes and self._admission.refuses(endpoint, UNREAD):
            exchange.response_complete = True
            self._shed(keep_alive)
        else:
            self._open(exchange)
        return True

    def _complete(self) -> None:
        """Run a prediction that has come in whole."""
        self._head = b""
        exchange = self.cycle
        if type(exchange) is not HttpExchange:
            super()._complete()
        elif not exchange.response_complete:
            chunks = exchange.chunks
            self._predict.run(exchange, chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _give_up(self, refused: Refused) -> None:
        if type(self.cycle) is HttpExchange:
            self._refuse_exchange(self.cycle, BadRequest(str(refused)))
        else:
            super()._give_up(refused)

    def _refuse_exchange(self, exchange: HttpExchange, error: GatewayError) -> None:
        """Answer with an error and close: what is still to come of the body is not worth reading."""
        exchange.keep_alive = False
        self._predict.refuse(exchange, error)

    def _run_known(self, known: KnownHead, endpoint: Endpoint, body: bytes) -> None:
        if self._admission.lanes and self._admission.refuses(endpoint, known.headers):
            self._shed(known.keep_alive)
            return
        exchange = self.cycle = HttpExchange(known.path, self, known.keep_alive)
        self._predict.open(exchange, known.headers)
        self._predict.run(exchange, body)

    def _shed(self, keep_alive: bool) -> None:
        fields = admission.FIELDS + self._predict.new_id_field()
        self.answer(admission.STATUS, fields, admission.BODY, self._predict.closing or not keep_alive)

    def _open(self, exchange: HttpExchange) -> None:
        headers = self._predict.open_raw(exchange, self.headers)
        if exchange.response_complete:
            return
        if self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif headers is not None:
            self._heads.learn(self._head, KnownHead(exchange.path, headers, exchange.keep_alive))
