"""Passing an operator's call on the data port on to the admin API of the same gateway."""

import asyncio

import httptools
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.errors import Overloaded
from driftgate.gateway.settings import ServerSettings

PATIENCE_S = 90.0
"""Longer than the admin API waits for workers unless it is asked to wait longer."""
PASSED_ON = ("authorization", "if-match", "content-type")
PASSED_BACK = (b"content-type", b"etag", b"retry-after", b"www-authenticate")
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - keys, not addresses
NO_ANSWER = "the control plane does not answer now; try again shortly, or ask it on the admin port"


async def relay(request: Request, body: bytes, server: ServerSettings) -> Response:
    """Return what the admin API answers to this request; raise Overloaded if it does not answer."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await _ask(_head(request, len(body)) + body, server)
    except (OSError, TimeoutError, httptools.HttpParserError) as error:
        raise Overloaded(NO_ANSWER, "control") from error


def _head(request: Request, length: int) -> bytes:
    # The path as it was sent: decoding it and encoding it again could make another one of it.
    target = bytes(request.scope["raw_path"])
    if request.url.query:
        target += b"?" + bytes(request.scope["query_string"])
    fields = [(name, request.headers[name]) for name in PASSED_ON if name in request.headers]
    fields += [("host", "127.0.0.1"), ("connection", "close"), ("content-length", str(length))]
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return b"POST %b HTTP/1.1\r\n%b\r\n" % (target, lines.encode("latin-1"))


async def _ask(message: bytes, server: ServerSettings) -> Response:
    host = EVERY_ADDRESS.get(server.admin_host, server.admin_host)
    reader, writer = await asyncio.open_connection(host, server.admin_port)
    try:
        writer.write(message)
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while data := await reader.read(65536):
            parser.feed_data(data)
            if answer.complete:
                break
    finally:
        writer.close()
    if not answer.complete:
        raise ConnectionError("the answer broke off")
    return Response(bytes(answer.body), parser.get_status_code(), answer.headers)


class _Answer:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header that the client is to see."""
        if name.lower() in PASSED_BACK:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Note that all is there."""
        self.complete = True
