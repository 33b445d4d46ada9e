"""The life of a prediction request, on a raw ASGI path: parse, route, infer, respond, count."""

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import Message, Receive, Scope, Send

from driftgate.gateway.answers import BINARY, CLOSE, JSON, Header, error_answer, send_answer
from driftgate.gateway.counters import NONFINITE, CounterFile, VersionCounters
from driftgate.gateway.errors import NotFound, NotServable, Overloaded, TooLarge
from driftgate.gateway.headers import RequestHeaders, decompress, read_headers
from driftgate.gateway.inference import Array, InferenceRequest, InferenceResult
from driftgate.gateway.logs import Logger
from driftgate.gateway.model_view import EncodedAnswer, ModelView, Nonfinite, ParseLimits
from driftgate.gateway.oip_json import encode_infer, parse_infer
from driftgate.gateway.prediction_id import PredictionIds
from driftgate.gateway.replica import Replica, Table
from driftgate.gateway.routing import ModelRoute, Target
from driftgate.gateway.rows import encode_predict, parse_predict
from driftgate.gateway.served import ServedVersion
from driftgate.gateway.settings import Settings
from driftgate.gateway.turn import Turns

CLIENT_CLOSED = 499
WORTH_COMPRESSING_BYTES = 64 * 1024
"""Below this, compressing costs more time than it saves on any network that predictions travel on."""
FASTEST = 1


class Contract(NamedTuple):
    """One protocol: bytes to an InferenceRequest, and an InferenceResult to bytes."""

    parse: Callable[[bytes, int | None, ModelView, ParseLimits], InferenceRequest]
    encode: Callable[[InferenceRequest, InferenceResult, ModelView, Nonfinite], EncodedAnswer]


OIP = Contract(parse_infer, encode_infer)
ROWS = Contract(lambda body, _, view, limits: parse_predict(body, view, limits), encode_predict)
CONTRACTS = {"infer": OIP, "predict": ROWS}


class Endpoint(NamedTuple):
    """A path that predicts: the route, the version or label in the path (None: the split decides)."""

    route: ModelRoute[ServedVersion]
    version: str | None
    contract: Contract


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(slots=True)
class Exchange:
    """What is known so far of one request; times are perf_counter_ns."""

    prediction_id: str
    started_ns: int
    headers: RequestHeaders | None = None
    target: Target[ServedVersion] | None = None
    parse_ns: int = 0
    encode_ns: int = 0


class PredictPath:
    """Answers predictions on one worker. `closing` adds `Connection: close` to every answer."""

    def __init__(
        self, replica: Replica, turns: Turns, counters: CounterFile, settings: Settings, logger: Logger
    ) -> None:
        self._replica = replica
        self._turns = turns
        self._unknown = counters.of("", "")
        self._limits = settings.limits
        self._parse_limits = ParseLimits(max_rows=settings.limits.max_rows_per_request)
        self._patience_s = settings.timing.desired_poll_ms / 1000
        self._logger = logger
        self._ids = PredictionIds()
        self._rows = 0
        self._endpoints: dict[str, Endpoint] = {}
        self.closing = False
        replica.on_swap = self._on_swap

    def serves(self, scope: Scope) -> bool:
        """Tell whether this path predicts; all else is for the ordinary routes, which also explain a 404."""
        return scope["path"] in self._endpoints and scope["method"] == "POST"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one prediction request."""
        exchange = Exchange(self._ids.new(time.time_ns() // 1_000_000), time.perf_counter_ns())
        try:
            answer, target = await self._predict(exchange, scope, receive)
            await self._respond(exchange, answer, target, send)
            self._count(exchange, 200)
        except ClientGone:
            self._count(exchange, CLIENT_CLOSED)
        except Exception as error:  # the edge: whatever went wrong is answered, counted and logged
            await self._refuse(exchange, error, scope, send)

    async def _predict(
        self, exchange: Exchange, scope: Scope, receive: Receive
    ) -> tuple[EncodedAnswer, Target[ServedVersion]]:
        headers = exchange.headers = read_headers(scope["headers"])
        body = await self._body(receive, headers)
        began_ns = time.perf_counter_ns()
        endpoint = self._endpoint(scope["path"])
        request, target = self._parse_and_route(exchange, endpoint, body, headers)
        exchange.parse_ns = time.perf_counter_ns() - began_ns
        deadline_ns = exchange.started_ns + self._patience_ns(request, headers)
        outputs = await self._infer(target.version, request, deadline_ns)
        began_ns = time.perf_counter_ns()
        answer = _encode(exchange, endpoint.contract, request, target.version, outputs)
        exchange.encode_ns = time.perf_counter_ns() - began_ns
        return answer, target

    async def _body(self, receive: Receive, headers: RequestHeaders) -> bytes:
        if headers.content_length > self._limits.max_body_bytes:
            raise TooLarge(f"the body is larger than {self._limits.max_body_bytes} bytes")
        message: Message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._rest_of_body(receive, body)
        elif message["type"] == "http.disconnect":
            raise ClientGone
        if headers.content_encoding:
            return decompress(body, headers.content_encoding, self._limits.max_body_bytes)
        return body

    async def _rest_of_body(self, receive: Receive, first: bytes) -> bytes:
        parts, size, more = [first], len(first), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
            size += len(parts[-1])
            if size > self._limits.max_body_bytes:
                raise TooLarge(f"the body is larger than {self._limits.max_body_bytes} bytes")
        return b"".join(parts)

    def _endpoint(self, path: str) -> Endpoint:
        """Return the endpoint in the newest table; it may have changed while the body came in."""
        self._replica.current(self._patience_s)
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            raise NotFound("the model or version of this path is not served any more")
        return endpoint

    def _parse_and_route(
        self, exchange: Exchange, endpoint: Endpoint, body: bytes, headers: RequestHeaders
    ) -> tuple[InferenceRequest, Target[ServedVersion]]:
        route = endpoint.route
        target = route.explicit(endpoint.version) if endpoint.version else route.single
        if target is None and headers.routing_key:
            target = route.choose(headers.routing_key)
        if target is not None:
            exchange.target = target
            return self._parse(endpoint.contract, body, headers, target.version), target
        entry = exchange.target = route.entry
        if entry is None:
            raise NotServable(f"model '{route.name}' has no version with traffic yet")
        request = self._parse(endpoint.contract, body, headers, entry.version)
        target = exchange.target = route.choose((request.sequence_id or exchange.prediction_id).encode())
        if target.version.view.signature != entry.version.view.signature:
            request = self._parse(endpoint.contract, body, headers, target.version)
        return request, target

    def _parse(
        self, contract: Contract, body: bytes, headers: RequestHeaders, served: ServedVersion
    ) -> InferenceRequest:
        request = contract.parse(body, headers.json_length, served.view, self._parse_limits)
        most = served.settings.max_rows_per_request
        if most is not None and request.rows > most:
            raise TooLarge(f"{request.rows} rows in one request; this model takes at most {most}")
        return request

    def _patience_ns(self, request: InferenceRequest, headers: RequestHeaders) -> int:
        patience_ns = self._limits.max_deadline_ms * 1_000_000
        if headers.timeout_ms is not None:
            patience_ns = min(patience_ns, headers.timeout_ms * 1_000_000)
        if request.timeout_us:
            patience_ns = min(patience_ns, request.timeout_us * 1000)
        return patience_ns

    async def _infer(self, served: ServedVersion, request: InferenceRequest, deadline_ns: int) -> list[Array]:
        if self._rows + request.rows > self._limits.max_rows_per_worker:
            raise Overloaded("too many rows are being computed already; try again shortly", "rows")
        self._rows += request.rows
        served.loaded.acquire()
        try:
            return await self._turns.infer(served, request, deadline_ns)
        finally:
            served.loaded.release()
            self._rows -= request.rows

    async def _respond(
        self, exchange: Exchange, answer: EncodedAnswer, target: Target[ServedVersion], send: Send
    ) -> None:
        headers: list[Header] = [
            JSON if answer.json_length is None else BINARY,
            (b"x-prediction-id", exchange.prediction_id.encode()),
            (b"x-served-by", target.served_by),
        ]
        if answer.json_length is not None:
            headers.append((b"inference-header-content-length", b"%d" % answer.json_length))
        if answer.nonfinite:
            target.version.counters.cells[NONFINITE] += 1
        body = answer.body
        if len(body) >= WORTH_COMPRESSING_BYTES and exchange.headers and exchange.headers.accepts_gzip:
            body = gzip.compress(body, FASTEST)
            headers.append((b"content-encoding", b"gzip"))
        await self._send(exchange, 200, headers, body, send)

    async def _refuse(self, exchange: Exchange, error: Exception, scope: Scope, send: Send) -> None:
        answer = error_answer(error)
        self._logger.warning(
            "request_failed",
            path=scope["path"][:200],
            code=answer.status,
            error=type(error).__name__,
            reason=str(error)[:500],
            prediction_id=exchange.prediction_id,
            traceparent=exchange.headers.traceparent if exchange.headers else None,
        )
        headers = [*answer.headers, (b"x-prediction-id", exchange.prediction_id.encode())]
        await self._send(exchange, answer.status, headers, answer.body, send)
        self._count(exchange, answer.status)

    async def _send(
        self, exchange: Exchange, status: int, headers: list[Header], body: bytes, send: Send
    ) -> None:
        if exchange.headers is not None and exchange.headers.traceparent:
            headers.append((b"traceparent", exchange.headers.traceparent.encode()))
        if self.closing:
            headers.append(CLOSE)
        await send_answer(send, status, headers, body)

    def _count(self, exchange: Exchange, code: int) -> None:
        counters: VersionCounters = exchange.target.version.counters if exchange.target else self._unknown
        elapsed_ns = time.perf_counter_ns() - exchange.started_ns
        counters.answered(code, exchange.parse_ns, exchange.encode_ns, elapsed_ns)

    def _on_swap(self, table: Table) -> None:
        self._endpoints = dict(endpoints_of(table))


def endpoints_of(table: Table) -> list[tuple[str, Endpoint]]:
    """Return every path that predicts with this table; a trailing slash is accepted."""
    return [
        (f"/v2/models/{name}{place}/{verb}{slash}", Endpoint(route, version, contract))
        for name, route in table.routes.items()
        for version in (None, *route.names)
        if version or route.entry
        for place in (f"/versions/{version}" if version else "",)
        for verb, contract in CONTRACTS.items()
        for slash in ("", "/")
    ]


def _encode(
    exchange: Exchange,
    contract: Contract,
    request: InferenceRequest,
    served: ServedVersion,
    outputs: list[Array],
) -> EncodedAnswer:
    named = dict(zip(served.view.output_names, outputs, strict=True))
    result = InferenceResult(served.loaded.model, served.loaded.version, exchange.prediction_id, named)
    return contract.encode(request, result, served.view, served.settings.json_nonfinite)
