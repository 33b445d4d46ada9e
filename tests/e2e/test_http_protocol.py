"""What clients do with a connection, over raw sockets."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from harness.gateway import Gateway
from harness.raw_http import answers, connected, infer_request

ROWS = 20_000
UPGRADES = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
]


@pytest.fixture
def connection(shared_gateway: Gateway) -> Iterator[socket.socket]:
    """A connection to the data port."""
    with connected(shared_gateway.ports.data) as connection:
        yield connection


def runs(gateway: Gateway) -> int:
    """How often the model has run."""
    stats = gateway.client.get(f"{gateway.ports.data}/v2/models/m/stats").json()["model_stats"]
    return int(stats[0]["execution_count"]) if stats else 0


def test_requests_may_be_split_at_every_byte(connection: socket.socket) -> None:
    """Two requests in a row are answered wherever the network cuts them, known head or not."""
    both = infer_request() + infer_request()
    for cut in range(1, len(both)):
        connection.sendall(both[:cut])
        connection.sendall(both[cut:])
        assert [(status, b"[20.0]" in body) for status, body in answers(connection, 2)] == [(200, True)] * 2


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("cut", [40, -5, None])
def test_an_offered_upgrade_is_ignored(connection: socket.socket, upgrade: bytes, cut: int | None) -> None:
    """A request that offers another protocol is answered with its body, and so is the next one."""
    offered = infer_request(fields=upgrade)
    connection.sendall(offered[:cut])
    if cut is not None:
        connection.sendall(offered[cut:])
    connection.sendall(infer_request())
    assert [status for status, _ in answers(connection, 2)] == [200, 200]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: +5\r\n\r\nabcde",
        b"POST /v2/models/m/infer HTTP/1.1\nContent-Length: 5\n\nab\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_json(connection: socket.socket, sent: bytes) -> None:
    """Even the parser's refusals have the shape of every other error, and end the connection."""
    connection.sendall(sent)
    status, body = answers(connection, 1)[0]
    assert (status, list(json.loads(body))) == (400, ["error"])
    assert connection.recv(1) == b""


def test_a_client_that_does_not_read_is_not_read(shared_gateway: Gateway, connection: socket.socket) -> None:
    """Answers pile up at the client, not in the worker; it gets all of them once it reads."""
    sent, began = 0, runs(shared_gateway)
    large = infer_request(ROWS)
    while runs(shared_gateway) == began + sent:
        assert sent < 200, "20 MB of answers are waiting in the worker"
        connection.sendall(large)
        sent += 1
        deadline = time.monotonic() + 1.0
        while runs(shared_gateway) < began + sent and time.monotonic() < deadline:
            time.sleep(0.002)
    assert [status for status, _ in answers(connection, sent)] == [200] * sent


def test_the_body_of_a_repository_call_is_bounded(shared_gateway: Gateway) -> None:
    """Paths that take small bodies refuse large ones before they are in memory."""
    url = f"{shared_gateway.ports.data}/v2/repository/index"
    answer = shared_gateway.client.post(url, content=b" " * 2_000_000)
    assert (answer.status_code, answer.json()) == (413, {"error": "the body has more than 1048576 bytes"})
