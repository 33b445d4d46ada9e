"""What goes back to a client: the outputs as its protocol writes them, and what the header says of them."""

import gzip

from driftgate.gateway.http.answers import ErrorAnswer
from driftgate.gateway.serving.exchange import Answer, Exchange
from driftgate.gateway.state.counters import NONFINITE
from driftgate.gateway.wire.computed import InferenceResult
from driftgate.gateway.wire.tensor_views import EncodedAnswer

WORTH_COMPRESSING_BYTES = 64 * 1024
"""Below this, compressing costs more time than it saves on any network that predictions travel on."""
FASTEST = 1

JSON_FIELDS = b"content-type: application/json\r\nx-served-by: %b\r\n"
GZIP_FIELDS = b"content-encoding: gzip\r\n" + JSON_FIELDS
BINARY_FIELDS = (
    b"content-type: application/octet-stream\r\nx-served-by: %b\r\ninference-header-content-length: %d\r\n"
)
DEFAULTED = b"x-defaulted: fallback\r\n"


def encoded(exchange: Exchange) -> EncodedAnswer:
    """Return the computed rows as the request's protocol writes them; raise NonfiniteAnswer if it cannot."""
    served = exchange.served
    result = InferenceResult(
        served.loaded.version, exchange.prediction_id, exchange.computed, exchange.first, exchange.last
    )
    return exchange.contract.encode(exchange.request, result, served.view, served.settings.json_nonfinite)


def success(exchange: Exchange, answer: EncodedAnswer, closing: bool) -> Answer:
    """Return the answer of a request that was computed; count it if it says what is no number."""
    target, body = exchange.target, answer.body
    served_by = target.served_by if target else b""
    if exchange.bucket >= 0:
        served_by = b"%b, bucket=%d" % (served_by, exchange.bucket)
    if answer.json_length is not None:
        fields = BINARY_FIELDS % (served_by, answer.json_length)
    elif len(body) >= WORTH_COMPRESSING_BYTES and exchange.headers.accepts_gzip:
        fields = GZIP_FIELDS % served_by
        body = gzip.compress(body, FASTEST)
    else:
        fields = JSON_FIELDS % served_by
    if target is not None and target.why == "fallback":
        fields += DEFAULTED
    if exchange.features is not None:
        fields += exchange.features.fields
    # What was sent as raw bytes nobody has looked at yet.
    if answer.nonfinite or (answer.json_length is not None and _holds_nonfinite(exchange)):
        exchange.served.counters.cells[NONFINITE] += 1
    return Answer(200, fields + _traced(exchange), body, closing)


def refusal(exchange: Exchange, answer: ErrorAnswer, closing: bool) -> Answer:
    """Return the answer of a request that was refused or failed."""
    return Answer(answer.status, answer.fields + _traced(exchange), answer.body, answer.close or closing)


def _traced(exchange: Exchange) -> bytes:
    """Return the header lines that name the prediction, and the trace that it belongs to."""
    fields = b"x-prediction-id: %b\r\n" % exchange.prediction_id.encode()
    if exchange.headers.traceparent:
        fields += b"traceparent: %b\r\n" % exchange.headers.traceparent.encode()
    return fields


def _holds_nonfinite(exchange: Exchange) -> bool:
    return exchange.computed.holds_nonfinite(exchange.first, exchange.last)
