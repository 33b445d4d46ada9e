"""Request headers and compressed bodies."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.errors import BadRequest, TooLarge, UnsupportedContent
from driftgate.gateway.http.headers import RequestHeaders, decompress, header_key, read_headers

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_nothing_asked_for() -> None:
    """Headers that mean nothing here change nothing."""
    assert read_headers([(b"host", b"a"), (b"content-type", b"text/plain")]) == RequestHeaders()


GOOD = [
    (b"content-encoding", b"gzip", "content_encoding", "gzip"),
    (b"content-encoding", b" GZIP ", "content_encoding", "gzip"),
    (b"content-encoding", b"identity", "content_encoding", ""),
    (b"content-encoding", b"deflate", "content_encoding", "deflate"),
    (b"inference-header-content-length", b"0", "json_length", 0),
    (b"inference-header-content-length", b"0158", "json_length", 158),
    (b"x-request-timeout-ms", b"250", "timeout_ms", 250),
    (b"x-request-timeout-ms", b"0", "timeout_ms", 0),
    (b"x-envoy-expected-rq-timeout-ms", b"15", "timeout_ms", 15),
    (b"grpc-timeout", b"2S", "timeout_ms", 2000),
    (b"grpc-timeout", b"99999999H", "timeout_ms", 99999999 * 3_600_000),
    (b"grpc-timeout", b"500u", "timeout_ms", 0.5),
    (b"x-routing-key", "é".encode(), "routing_key", "é".encode()),
    (b"x-variant", b"canary", "variant", "canary"),
    (b"x-purpose", b"replay", "purpose", "replay"),
    (b"x-idempotency-key", b"abc", "idempotency_key", "abc"),
    (b"traceparent", TRACE, "traceparent", TRACE.decode()),
    (b"traceparent", b"cc" + TRACE[2:] + b"-future", "traceparent", "cc" + TRACE[2:].decode() + "-future"),
    (b"accept-encoding", b"deflate, gzip;q=1.0", "accepts_gzip", True),
    (b"accept-encoding", b"br;q=1.0, *;q=0.1", "accepts_gzip", True),
    (b"accept-encoding", b"deflate, br", "accepts_gzip", False),
    (b"accept-encoding", b"gzip;q=0", "accepts_gzip", False),
    (b"accept-encoding", b"gzip;q=0.000, br", "accepts_gzip", False),
]


@pytest.mark.parametrize(("name", "value", "field", "meaning"), GOOD)
def test_meaning(name: bytes, value: bytes, field: str, meaning: object) -> None:
    """Each header sets its own field."""
    assert getattr(read_headers([(name, value)]), field) == meaning


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"ff" + TRACE[2:],
        TRACE.upper(),
        TRACE[:-1],
        TRACE + b"-x",
        TRACE.replace(b"b7ad6b7169203331", b"0" * 16),
        TRACE.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        b"cc" + TRACE[2:] + b"-a\nb",
    ],
)
def test_bad_traceparent_is_ignored(value: bytes) -> None:
    """A malformed traceparent is as if there were none, as its standard says."""
    assert read_headers([(b"traceparent", value)]).traceparent == ""


NUMBERS = [b"", b"-1", b"+5", b"1.5", b" 5", b"5 ", b"0x10", b"1e3", b"abc", b"9" * 19, "٣".encode()]
BAD = [
    *(
        (name, value, BadRequest)
        for name in (
            b"inference-header-content-length",
            b"x-request-timeout-ms",
            b"x-envoy-expected-rq-timeout-ms",
        )
        for value in NUMBERS
    ),
    (b"x-routing-key", b"a" * 1025, BadRequest),
    (b"x-routing-key", b"a\rb", BadRequest),
    (b"x-routing-key", b"a\r\nx-variant: canary", BadRequest),
    (b"x-routing-key", b"a" * 2**20, BadRequest),
    (b"x-variant", b"a\nb", BadRequest),
    (b"x-variant", b"a" * 1025, BadRequest),
    (b"x-idempotency-key", b"a\x00b", BadRequest),
    (b"x-idempotency-key", "é".encode(), BadRequest),
    (b"x-purpose", b"fun", BadRequest),
    (b"x-purpose", b"", BadRequest),
    (b"content-encoding", b"br", UnsupportedContent),
    (b"content-encoding", b"gzip, gzip", UnsupportedContent),
]


@pytest.mark.parametrize(("name", "value", "error"), BAD)
def test_malformed(name: bytes, value: bytes, error: type[Exception]) -> None:
    """A malformed header is refused by its name."""
    with pytest.raises(error) as refused:
        read_headers([(name, value)])
    assert name.decode() in str(refused.value).lower()


def test_smallest_deadline_wins() -> None:
    """Of several deadlines the smallest counts, wherever it stands."""
    both = [(b"x-request-timeout-ms", b"300"), (b"x-envoy-expected-rq-timeout-ms", b"200")]
    assert read_headers(both).timeout_ms == 200
    assert read_headers(both[::-1]).timeout_ms == 200


def test_conflicting_lengths() -> None:
    """Two different lengths of the JSON part are refused, since proxies differ in which they believe."""
    name = b"inference-header-content-length"
    assert read_headers([(name, b"5"), (name, b"5")]).json_length == 5
    with pytest.raises(BadRequest, match="twice"):
        read_headers([(name, b"5"), (name, b"6")])


def test_two_encodings() -> None:
    """A body compressed twice is not spoken here."""
    with pytest.raises(UnsupportedContent):
        read_headers([(b"content-encoding", b"gzip"), (b"content-encoding", b"gzip")])


@given(headers=st.lists(st.tuples(st.sampled_from([name for name, *_ in GOOD]), st.binary(max_size=70))))
def test_arbitrary_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """No header value raises anything but a refusal."""
    try:
        found = read_headers(headers)
    except (BadRequest, UnsupportedContent):
        return
    assert found.traceparent.isprintable()


def gzipped(data: bytes) -> bytes:
    """A gzip file of one member."""
    return gzip.compress(data)


@given(data=st.binary(max_size=300))
def test_round_trip(data: bytes) -> None:
    """gzip and zlib bodies come out as they went in."""
    assert decompress(gzipped(data), "gzip", 300) == data
    assert decompress(gzipped(data), "gzip", len(data)) == data
    assert decompress(zlib.compress(data), "deflate", 300) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bomb(encoding: str) -> None:
    """A bomb is refused as too large, and never held in memory."""
    zeros = bytes(50_000_000)
    bomb = gzipped(zeros) if encoding == "gzip" else zlib.compress(zeros)
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="larger than 10000 bytes"):
            decompress(bomb, encoding, 10_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


DAMAGED = {
    "text": b'{"inputs":[]}',
    "truncated": gzipped(b"hello world")[:-9],
    "checksum": gzipped(b"hello world")[:-8] + bytes(8),
    "trailing": gzipped(b"hello") + b"junk",
    "members": gzipped(b"hello") * 2,
    "zlib": zlib.compress(b"hello"),
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged(body: bytes) -> None:
    """Data that is not what the encoding says is refused."""
    with pytest.raises(BadRequest, match="gzip"):
        decompress(body, "gzip", 1000)


def test_empty_and_unknown() -> None:
    """An empty body needs no decompression; an unknown encoding is named as such."""
    assert decompress(b"", "gzip", 10) == b""
    with pytest.raises(UnsupportedContent):
        decompress(b"x", "br", 10)


@pytest.mark.parametrize(
    ("name", "sent", "key"),
    [
        ("x-routing-key", [(b"x-routing-key", b"a"), (b"x-user", b"b")], b"a"),
        ("x-user", [(b"x-routing-key", b"a"), (b"x-user", b"b")], b"b"),
        ("x-user", [(b"x-routing-key", b"a")], b""),
    ],
)
def test_a_model_may_take_its_key_from_another_header(
    name: str, sent: list[tuple[bytes, bytes]], key: bytes
) -> None:
    """The split names the header; others are no keys then."""
    assert header_key(read_headers(sent), name) == key


@pytest.mark.parametrize("value", [b"a" * 1025, b"a\r\nb"])
def test_such_a_header_is_bounded_too(value: bytes) -> None:
    """Whatever it is called, a key is short and has no control characters."""
    with pytest.raises(BadRequest, match="x-user"):
        header_key(read_headers([(b"x-user", value)]), "x-user")
