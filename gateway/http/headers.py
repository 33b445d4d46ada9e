"""The request headers that mean something here, read in one pass; and the bounded decompression of a body.

Names arrive in lower case, as ASGI promises. Pure.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from driftgate.gateway.access.tokens import Holder
from driftgate.gateway.errors import BadRequest, TooLarge, UnsupportedContent

PURPOSES = frozenset({"live", "test", "probe", "batch", "replay"})
MAX_KEY_BYTES = 1024
ROUTING_KEY = "x-routing-key"

_MAX_DIGITS = 18
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?"
)
_GZIP_ACCEPTED = re.compile(r"(?:^|,)\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[^,]*)?(?:,|$)")
_GRPC_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS_MS = {b"H": 3_600_000, b"M": 60_000, b"S": 1000, b"m": 1, b"u": 1e-3, b"n": 1e-6}
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_ENCODINGS = {b"": "", b"identity": "", b"gzip": "gzip", b"x-gzip": "gzip", b"deflate": "deflate"}


@dataclass(slots=True)
class RequestHeaders:
    """What the headers of one request ask for; an empty value or None means that they do not.

    `json_length` is where the JSON part of the body ends (0: the body is one raw tensor). `timeout_ms` is the
    smallest of the deadlines given; 0 is one that has passed already. `variant` names an arm. `raw` are all
    headers, for those that only a model's settings know. `holder` is whose token `authorization` was found to
    be among the tokens `judged_by`.
    """

    content_length: int = 0
    content_encoding: str = ""
    json_length: int | None = None
    timeout_ms: float | None = None
    routing_key: bytes = b""
    purpose: str = "live"
    idempotency_key: str = ""
    traceparent: str = ""
    accepts_gzip: bool = False
    variant: str = ""
    raw: Sequence[tuple[bytes, bytes]] = field(default=(), compare=False, repr=False)
    authorization: bytes = field(default=b"", repr=False)
    holder: Holder | None = None
    judged_by: object = None


def read_headers(raw: Sequence[tuple[bytes, bytes]]) -> RequestHeaders:
    """Return what an ASGI header list means; raise BadRequest or UnsupportedContent naming the header."""
    headers = RequestHeaders(raw=raw)
    for name, value in raw:
        read = _READERS.get(name)
        if read is not None:
            read(headers, value)
    return headers


def header_key(headers: RequestHeaders, name: str) -> bytes:
    """Return the key in the header `name` (lower case), b"" without one; raise BadRequest if unfit."""
    if name == ROUTING_KEY:
        return headers.routing_key
    wanted = name.encode()
    return next((_key(name, value) for found, value in headers.raw if found == wanted), b"")


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return `body` decompressed, never holding more than `max_bytes` of it.

    Raises TooLarge beyond that, BadRequest for damaged or truncated data, UnsupportedContent for an unknown
    encoding. `deflate` is a zlib stream (RFC 1950); `gzip` is one member, since millions of empty ones would
    take forever.
    """
    if encoding not in _WINDOW_BITS:
        raise UnsupportedContent("this content-encoding is not spoken here; use gzip, deflate or none")
    if not body:
        return b""
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    data = _inflate(stream, body, encoding, max_bytes + 1)
    if len(data) > max_bytes:
        raise TooLarge(f"the body is larger than {max_bytes} bytes once decompressed")
    if not stream.eof:
        raise BadRequest(f"the body ends before its {encoding} data does")
    if stream.unused_data:
        raise BadRequest(f"something follows the {encoding} data of the body")
    return data


def _inflate(stream: "zlib._Decompress", body: bytes, encoding: str, most: int) -> bytes:
    try:
        return stream.decompress(body, most)
    except zlib.error:
        raise BadRequest(f"the body is not {encoding} data, though its content-encoding says so") from None


def _content_length(headers: RequestHeaders, value: bytes) -> None:
    headers.content_length = _whole_number("Content-Length", value)


def _content_encoding(headers: RequestHeaders, value: bytes) -> None:
    encoding = _ENCODINGS.get(value.strip().lower())
    if encoding is None or (encoding and headers.content_encoding):
        raise UnsupportedContent("this content-encoding is not spoken here; use gzip, deflate or none")
    headers.content_encoding = encoding or headers.content_encoding


def _json_length(headers: RequestHeaders, value: bytes) -> None:
    length = _whole_number("Inference-Header-Content-Length", value)
    if headers.json_length not in (None, length):
        raise BadRequest("Inference-Header-Content-Length is given twice, with different values")
    headers.json_length = length


def _timeout_ms(name: str) -> Callable[[RequestHeaders, bytes], None]:
    def read(headers: RequestHeaders, value: bytes) -> None:
        _shorten(headers, _whole_number(name, value))

    return read


def _grpc_timeout(headers: RequestHeaders, value: bytes) -> None:
    found = _GRPC_TIMEOUT.fullmatch(value)
    if found is None:
        raise BadRequest("grpc-timeout must be at most 8 digits and one of the units H, M, S, m, u, n")
    _shorten(headers, int(found.group(1)) * _GRPC_UNITS_MS[found.group(2)])


def _shorten(headers: RequestHeaders, timeout_ms: float) -> None:
    known = headers.timeout_ms
    headers.timeout_ms = timeout_ms if known is None else min(known, timeout_ms)


def _whole_number(name: str, value: bytes) -> int:
    if value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    raise BadRequest(f"{name} must be a whole number of at most {_MAX_DIGITS} digits, without a sign")


def _routing_key(headers: RequestHeaders, value: bytes) -> None:
    headers.routing_key = _key("x-routing-key", value)


def _idempotency_key(headers: RequestHeaders, value: bytes) -> None:
    if not value.isascii():
        raise BadRequest("x-idempotency-key may hold ASCII characters only")
    headers.idempotency_key = _key("x-idempotency-key", value).decode()


def _key(name: str, value: bytes) -> bytes:
    if len(value) > MAX_KEY_BYTES:
        raise BadRequest(f"{name} is longer than {MAX_KEY_BYTES} bytes")
    if _CONTROL.search(value):
        raise BadRequest(f"{name} contains a control character")
    return value


def _authorization(headers: RequestHeaders, value: bytes) -> None:
    if headers.authorization:
        raise BadRequest("Authorization is given twice")
    headers.authorization = value


def _variant(headers: RequestHeaders, value: bytes) -> None:
    headers.variant = _key("x-variant", value).decode("latin-1")


def _purpose(headers: RequestHeaders, value: bytes) -> None:
    purpose = value.decode("latin-1")
    if purpose not in PURPOSES:
        raise BadRequest("x-purpose must be one of live, test, probe, batch, replay")
    headers.purpose = purpose


def _traceparent(headers: RequestHeaders, value: bytes) -> None:
    # a malformed one is to be ignored, says W3C Trace Context; version 00 has nothing after the flags
    found = _TRACEPARENT.fullmatch(value)
    if found and not (value.startswith(b"00") and found.group(1)) and len(value) <= 256:
        headers.traceparent = value.decode("latin-1")


def _accept_encoding(headers: RequestHeaders, value: bytes) -> None:
    headers.accepts_gzip = _GZIP_ACCEPTED.search(value.decode("latin-1").lower()) is not None


_READERS: dict[bytes, Callable[[RequestHeaders, bytes], None]] = {
    b"accept-encoding": _accept_encoding,
    b"authorization": _authorization,
    b"content-encoding": _content_encoding,
    b"content-length": _content_length,
    b"grpc-timeout": _grpc_timeout,
    b"inference-header-content-length": _json_length,
    b"traceparent": _traceparent,
    b"x-envoy-expected-rq-timeout-ms": _timeout_ms("x-envoy-expected-rq-timeout-ms"),
    b"x-idempotency-key": _idempotency_key,
    b"x-purpose": _purpose,
    b"x-request-timeout-ms": _timeout_ms("x-request-timeout-ms"),
    b"x-routing-key": _routing_key,
    b"x-variant": _variant,
}
