"""The life of a prediction: parse, route, infer, respond, count. It knows no transport."""

import time

from driftgate.gateway.access.guards import PredictGuard
from driftgate.gateway.errors import NonfiniteAnswer, NotFound, Overloaded, TooLarge
from driftgate.gateway.http.answers import Header, error_answer
from driftgate.gateway.http.headers import RequestHeaders, decompress, read_headers
from driftgate.gateway.logs import Logger
from driftgate.gateway.routing.table import Target
from driftgate.gateway.serving.admission import BUSY, Admission
from driftgate.gateway.serving.endpoints import Endpoint, endpoints_of
from driftgate.gateway.serving.exchange import Answer, ClientGone, Exchange
from driftgate.gateway.serving.outcome import encoded, refusal, success
from driftgate.gateway.serving.recorder import Recorder
from driftgate.gateway.serving.replica import Replica, Table
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.serving.turn import Turns
from driftgate.gateway.settings import Settings
from driftgate.gateway.state.counters import NONFINITE
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.gateway.wire.prediction_id import PredictionIds
from driftgate.gateway.wire.tensor_views import ParseLimits

CLIENT_CLOSED = 499
NOT_RECORDED = "this prediction cannot be recorded now, and is not made without a record; try again shortly"

_NO_HEADERS = RequestHeaders()


class PredictPath:
    """Answers the predictions of one worker. Every exchange is opened once and ends once.

    `in_flight` counts those in between. `closing` adds `Connection: close` to every answer. `guard` is None
    where nobody needs a token.
    """

    def __init__(
        self, replica: Replica, turns: Turns, recorder: Recorder, settings: Settings, logger: Logger
    ) -> None:
        self._replica = replica
        self._turns = turns
        self._recorder = recorder
        self._unknown = replica.unknown
        self._limits = settings.limits
        self._parse_limits = ParseLimits(self._limits.max_rows_per_request, self._limits.max_json_bytes)
        self._patience_s = settings.timing.desired_poll_ms / 1000
        self._patience_ns = settings.limits.max_deadline_ms * 1_000_000
        self._logger = logger
        self._ids = PredictionIds()
        self._rows = 0
        self._collected_bytes = 0
        self.admission = Admission(turns, settings.limits.max_wait_ms / 1000, logger)
        self.in_flight = 0
        self.endpoints: dict[str, Endpoint] = {}
        self.closing = False
        self.guard: PredictGuard | None = None
        replica.on_swap = self._on_swap
        recorder.release = self._release

    def open(self, exchange: Exchange, headers: RequestHeaders) -> None:
        """Begin: give the exchange its id and its headers."""
        self.in_flight += 1
        exchange.started_ns = time.perf_counter_ns()
        exchange.at_us = at_us = time.time_ns() // 1000
        exchange.prediction_id = self._ids.new(at_us // 1000)
        exchange.on_settled = self._finish
        exchange.headers = headers

    def open_raw(self, exchange: Exchange, raw_headers: list[Header]) -> RequestHeaders | None:
        """Begin with headers that are still to be read; None says that they were refused."""
        self.open(exchange, _NO_HEADERS)
        try:
            headers = exchange.headers = read_headers(raw_headers)
            if headers.content_length > self._limits.max_body_bytes:
                raise self.too_large()
            endpoint = self.endpoints.get(exchange.path)
            if self.guard is not None and endpoint is not None:
                self.guard.check(headers, endpoint.route.name)
        except Exception as error:  # the edge: whatever is wrong with the headers is answered
            self.refuse(exchange, error)
            return None
        return headers

    def new_id_field(self) -> bytes:
        """Return the header line with an id for a request that is answered unread, and never recorded."""
        return b"x-prediction-id: %b\r\n" % self._ids.new(time.time_ns() // 1_000_000).encode()

    def too_large(self) -> TooLarge:
        """The error of a body that is not read to its end."""
        return TooLarge(f"the body is larger than {self._limits.max_body_bytes} bytes")

    def collect(self, exchange: Exchange, size_bytes: int) -> None:
        """Count a part of a body that is coming in; raise TooLarge or Overloaded if it is not to be kept."""
        exchange.collected_bytes += size_bytes
        self._collected_bytes += size_bytes
        if exchange.collected_bytes > self._limits.max_body_bytes:
            raise self.too_large()
        if self._collected_bytes > self._limits.max_receiving_bytes:
            raise Overloaded("too many large requests are coming in; try again shortly", "bodies")

    def run(self, exchange: Exchange, body: bytes) -> None:
        """Parse, route and compute; the exchange answers when its rows are done, or at once if refused."""
        if exchange.collected_bytes:
            self._forget(exchange)
        try:
            self._submit(exchange, body)
        except Exception as error:  # the edge: whatever went wrong is answered, counted and logged
            self.refuse(exchange, error)

    def abandon(self, exchange: Exchange) -> None:
        """End the exchange of a client that is gone; what is not computed yet never will be."""
        if exchange.submitted:
            exchange.fail(ClientGone())
        else:
            self.refuse(exchange, ClientGone())

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        """Answer with an error, count it and log it."""
        if isinstance(error, ClientGone):
            self._end(exchange, CLIENT_CLOSED)
            self._record_refusal(exchange)
            return
        answer = error_answer(error)
        self._logger.warning(
            "request_failed",
            path=exchange.path[:200],
            code=answer.status,
            error=type(error).__name__,
            reason=str(error)[:500],
            prediction_id=exchange.prediction_id,
            traceparent=exchange.headers.traceparent,
        )
        self._end(exchange, answer.status)
        self._record_refusal(exchange)
        exchange.reply(*refusal(exchange, answer, self.closing))

    def _record_refusal(self, exchange: Exchange) -> None:
        if not exchange.rows_done:  # otherwise its rows were in a call, which is recorded as a whole
            self._recorder.refused(exchange)

    def _submit(self, exchange: Exchange, body: bytes) -> None:
        headers = exchange.headers
        began_ns = time.perf_counter_ns()
        endpoint = self._endpoint(exchange.path)
        if self.guard is not None:
            self.guard.admit(headers, endpoint.route.name, exchange.client)
        if headers.content_encoding:
            body = decompress(body, headers.content_encoding, self._limits.max_body_bytes)
        request = exchange.request = self._parse_and_route(exchange, endpoint, body, headers)
        if self._recorder.refusing:
            raise Overloaded(NOT_RECORDED, "log")
        if self._rows + request.rows > self._limits.max_rows_per_worker:
            raise Overloaded("too many rows are being computed already; try again shortly", "rows")
        if self.admission.lanes and self.admission.is_full(exchange.served, headers):
            raise Overloaded(BUSY, "queue")
        exchange.deadline_ns = exchange.started_ns + self._patience_of(request, headers)
        exchange.arrived_ns = time.perf_counter_ns()
        exchange.parse_ns = exchange.arrived_ns - began_ns
        exchange.contract = endpoint.contract
        exchange.served.loaded.acquire()
        self._rows += request.rows
        exchange.submitted = True
        self._turns.submit(exchange)

    def _finish(self, exchange: Exchange) -> None:
        """Answer a request whose rows are computed or cannot be."""
        self._rows -= exchange.request.rows
        exchange.served.loaded.release()
        try:
            if exchange.error is not None:
                raise exchange.error
            began_ns = time.perf_counter_ns()
            answer = encoded(exchange)
            exchange.encode_ns = time.perf_counter_ns() - began_ns
        except NonfiniteAnswer as error:
            exchange.served.counters.cells[NONFINITE] += 1
            self.refuse(exchange, error)
        except Exception as error:  # the edge, as above
            self.refuse(exchange, error)
        else:
            exchange.code = 200
            self._send(exchange, success(exchange, answer, self.closing))

    def _send(self, exchange: Exchange, answer: Answer) -> None:
        if self._recorder.holds:
            exchange.held = answer
        else:
            self._end(exchange, 200)
            exchange.reply(*answer)

    def _release(self, exchange: Exchange, recorded: bool) -> None:
        """Send an answer that waited for its record, or refuse the request because there is none."""
        answer, exchange.held = exchange.held, None
        if not recorded:
            self.refuse(exchange, Overloaded(NOT_RECORDED, "log"))
        elif answer is not None:
            self._end(exchange, 200)
            exchange.reply(*answer)

    def _endpoint(self, path: str) -> Endpoint:
        """Return the endpoint in the newest table; it may have changed while the body came in."""
        self._replica.current(self._patience_s)
        endpoint = self.endpoints.get(path)
        if endpoint is None:
            raise NotFound("the model or version of this path is not served any more")
        return endpoint

    def _parse_and_route(
        self, exchange: Exchange, endpoint: Endpoint, body: bytes, headers: RequestHeaders
    ) -> InferenceRequest:
        settled = endpoint.settled(headers)
        if settled is not None:
            target, exchange.bucket = settled
            request = self._parse(exchange, endpoint, body, target)
            if endpoint.key_place is not None:
                exchange.routing_key = endpoint.key(request, headers)
            return request
        entry = endpoint.entry
        request = self._parse(exchange, endpoint, body, entry)
        exchange.routing_key = key = endpoint.key(request, headers)
        target, exchange.bucket = endpoint.assigned(request, key, exchange.prediction_id)
        if target.version.view.contract != entry.version.view.contract:
            return self._parse(exchange, endpoint, body, target)
        exchange.target, exchange.served = target, target.version
        return request

    def _parse(
        self, exchange: Exchange, endpoint: Endpoint, body: bytes, target: Target[ServedVersion]
    ) -> InferenceRequest:
        exchange.target, exchange.served = target, target.version
        served = target.version
        json_length = exchange.headers.json_length
        request = endpoint.contract.parse(body, json_length, served.view, self._parse_limits)
        most = served.settings.max_rows_per_request
        if most is not None and request.rows > most:
            raise TooLarge(f"{request.rows} rows in one request; this model takes at most {most}")
        return request

    def _patience_of(self, request: InferenceRequest, headers: RequestHeaders) -> int:
        patience_ns = self._patience_ns
        if headers.timeout_ms is not None:
            patience_ns = min(patience_ns, int(headers.timeout_ms * 1_000_000))
        if request.timeout_us:
            patience_ns = min(patience_ns, request.timeout_us * 1000)
        return patience_ns

    def _forget(self, exchange: Exchange) -> None:
        self._collected_bytes -= exchange.collected_bytes
        exchange.collected_bytes = 0

    def _end(self, exchange: Exchange, code: int) -> None:
        if exchange.collected_bytes:
            self._forget(exchange)
        self.in_flight -= 1
        exchange.code = code
        counters = exchange.served.counters if exchange.target else self._unknown
        elapsed_ns = time.perf_counter_ns() - exchange.started_ns
        counters.answered(code, exchange.parse_ns, exchange.encode_ns, elapsed_ns)

    def _on_swap(self, table: Table) -> None:
        self.endpoints = dict(endpoints_of(table))
