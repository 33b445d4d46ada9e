"""What no client may do to a connection, on all three ports."""

import json
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
import pytest

from harness.gateway import Gateway
from harness.raw_http import answers, connected, infer_request

PORTS = ("data", "admin", "metrics")
GET = b"GET /none HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /none HTTP/1.1\r\nHost: x\r\n"
ONE_REFUSED = [
    (GET + b"a: " + b"b" * 8192 + b"\r\n\r\n", 431),
    (GET + b"a: " + b"b" * 100_000, 431),
    (GET + b"a" * 100_000, 431),
    (GET + (b"a: " + b"b" * 4096 + b"\r\n") * 9 + b"\r\n", 431),
    (GET + b"a: b\r\n" * 100 + b"\r\n", 431),
    (GET + b"a: b\r\n" * 5000, 431),
    (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET /" + b"a" * 1_000_000, 414),
    (b"GET /none HTTP/1.1\r\n\r\n", 400),
    (GET + b"Host: y\r\n\r\n", 400),
    (b"GET /none HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    (b"GET /none HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    (b"GET /none\r\n\r\n", 400),
    (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400),
    (POST + b"Content-Length: 5, 5\r\n\r\nabcde", 400),
    (POST + b"Content-Length: -5\r\n\r\nabcde", 400),
    (POST + b"Content-Length: +5\r\n\r\nabcde", 400),
    (POST + b"Content-Length: 99999999999999999999\r\n\r\nabcde", 400),
    (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"a: b\0c\r\n\r\n", 400),
    (GET + b"a: b\r\n folded\r\n\r\n", 400),
    (GET + b"a : b\r\n\r\n", 400),
    *(
        (b"GET /health/%b HTTP/1.1\r\nHost: x\r\n\r\n" % path, 400)
        for path in (b"../live", b"./live", b"%2e%2e/live", b"%2E/live", b"/live", b"live/..", b"..%2flive")
    ),
    (b"GET /health/live%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /health/live%0d%0aa:b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /health\\live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET http://x//health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
]
SLOW = {
    "silent": [b""],
    "half a head": [GET],
    "dripping a head": [GET[place : place + 1] for place in range(len(GET))],
    "half a body": [infer_request()[:-5]],
    "dripping a body": [infer_request(100)[:-200], *(b" " for _ in range(100))],
}


def address_of(gateway: Gateway, port: str) -> str:
    """Return the URL of one of the gateway's ports."""
    return str(getattr(gateway.ports, port))


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(("sent", "status"), ONE_REFUSED, ids=range(len(ONE_REFUSED)))
def test_what_is_too_much_or_ambiguous_is_refused(
    shared_gateway: Gateway, port: str, sent: bytes, status: int
) -> None:
    """Every port answers with the status and a JSON error, and closes."""
    with connected(address_of(shared_gateway, port)) as connection:
        connection.sendall(sent)
        found, body = answers(connection, 1)[0]
        assert (found, list(json.loads(body))) == (status, ["error"])


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"3\r\nabcdef\r\n", b"0x3\r\nabc\r\n"])
@pytest.mark.parametrize("path", [b"/v2/models/m/infer", b"/v2/repository/index", b"/none"])
def test_bad_chunks_end_the_connection(shared_gateway: Gateway, path: bytes, chunk: bytes) -> None:
    """A body whose chunks do not add up is answered at most once, never with success, and not read on."""
    with connected(shared_gateway.ports.data) as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path + chunk
        )
        status, _ = answers(connection, 1)[0]
        assert status in (400, 404)
        assert connection.recv(1) == b""


@pytest.mark.parametrize("port", ["data", "metrics"])
def test_a_huge_length_is_refused_before_the_body(shared_gateway: Gateway, port: str) -> None:
    """Whoever announces 10 GB is answered without sending any of it."""
    with connected(address_of(shared_gateway, port)) as connection:
        connection.sendall(POST + b"Content-Length: 10000000000\r\n\r\n")
        assert answers(connection, 1)[0][0] == 413
        assert connection.recv(1) == b""


@pytest.mark.parametrize("before", [1, 3])
@pytest.mark.parametrize(
    ("garbage", "status"),
    [(b"GARBAGE\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET /" + b"a" * 9000, 414)],
)
def test_what_was_asked_before_is_answered_first(
    shared_gateway: Gateway, before: int, garbage: bytes, status: int
) -> None:
    """Valid requests in front of what is none get their answers, in order, and then it is refused."""
    with connected(shared_gateway.ports.data) as connection:
        connection.sendall(infer_request() * before + garbage)
        found = [code for code, _ in answers(connection, before + 1)]
        assert found == [200] * before + [status]
        assert connection.recv(1) == b""


def test_a_long_pipeline_is_answered_in_order(shared_gateway: Gateway) -> None:
    """However many requests come at once, each is answered in its turn."""
    many = 3000
    with connected(shared_gateway.ports.data) as connection:
        live = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall((live * 5 + infer_request()) * (many // 6))
        bodies = [body for _, body in answers(connection, many)]
        assert [b"outputs" in body for body in bodies] == [number % 6 == 5 for number in range(many)]


def test_forwarded_headers_mean_nothing(shared_gateway: Gateway) -> None:
    """Whatever a client says of itself, of the scheme or of another host, the answer is the same."""
    spoofed = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=127.0.0.1;host=evil",
    }
    for url in (f"{shared_gateway.ports.data}/openapi.json", f"{shared_gateway.ports.admin}/api/models"):
        plain, other = (httpx.get(url, headers=headers) for headers in ({}, spoofed))
        assert (plain.status_code, plain.content) == (other.status_code, other.content)
        assert b"evil" not in other.content


def test_slow_clients_are_closed_in_time(shared_gateway: Gateway) -> None:
    """On every port the silent, the stalled and the dripping are closed after ten seconds, or nearly."""
    with ExitStack() as stack:
        clients = [
            SlowClient(
                f"{port}, {manner}", stack.enter_context(connected(address_of(shared_gateway, port))), parts
            )
            for port in PORTS
            for manner, parts in SLOW.items()
        ]
        began = time.monotonic()
        while time.monotonic() < began + 12:
            for client in clients:
                client.step(time.monotonic() - began)
            if all(client.closed_after_s for client in clients):
                break
            time.sleep(0.05)
    assert [client for client in clients if not 9 <= (client.closed_after_s or 99) <= 11] == []


@dataclass
class SlowClient:
    """A connection that sends a part every second until the server closes it."""

    name: str
    connection: socket.socket = field(repr=False)
    parts: list[bytes] = field(repr=False)
    sent: int = 0
    closed_after_s: float | None = None

    def step(self, now_s: float) -> None:
        """Send what is due and look whether the connection is closed."""
        if self.closed_after_s is not None:
            return
        self.connection.setblocking(False)
        try:
            if self.sent < len(self.parts) and now_s >= self.sent:
                self.sent += 1
                self.connection.send(self.parts[self.sent - 1])
            if not self.connection.recv(4096):
                self.closed_after_s = now_s
        except BlockingIOError:
            pass
        except OSError:
            self.closed_after_s = now_s
