"""Raw connections, for what no HTTP client would send."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A connection to the host and port of a URL that sends what it is given at once."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def infer_request(rows: int = 1, fields: bytes = b"", model: bytes = b"m") -> bytes:
    """Return a prediction request as it goes on the wire, with more header lines in `fields`."""
    tensor = {"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": [1, 2, 3, 4] * rows}
    body = json.dumps({"inputs": [tensor]}).encode()
    return b"POST /v2/models/%b/infer HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (
        model,
        fields,
        len(body),
        body,
    )


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Return status and body of the next `count` answers."""
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            status = int(stream.readline().split()[1])
            length = 0
            while (line := stream.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            found.append((status, stream.read(length)))
    return found
