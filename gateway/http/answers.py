"""Sending an answer over raw ASGI, and turning an error into one."""

from typing import NamedTuple

import msgspec
from starlette.types import Send

from driftgate.gateway.errors import Overloaded, Unauthorized, status_of
from driftgate.models.errors import RunError

Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
CLOSE: Header = (b"connection", b"close")
CHALLENGE: Header = (b"www-authenticate", b"Bearer")

INTERNAL = "internal error; the server's log has the details"
NOT_COMPUTED = "the model could not compute these inputs; the server's log has the details"


class ErrorAnswer(NamedTuple):
    """Status, headers and body of a refused request."""

    status: int
    headers: list[Header]
    body: bytes

    @property
    def fields(self) -> bytes:
        """The headers as they go on the wire."""
        return b"".join(b"%b: %b\r\n" % header for header in self.headers)

    @property
    def close(self) -> bool:
        """Whether the connection ends with it: what is still to come of the request is not worth reading."""
        return self.status == 413

    def text_headers(self) -> dict[str, str]:
        """The headers as Starlette takes them."""
        return {name.decode(): value.decode() for name, value in self.headers}


async def send_answer(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """Send a whole answer; `headers` gets the content length added."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def error_answer(error: Exception) -> ErrorAnswer:
    """Return the answer for an error: its own text where that is meant for clients, else a fixed one."""
    status = status_of(error)
    text = str(error)
    if status == 500:
        text = INTERNAL
    elif isinstance(error, RunError):
        text = NOT_COMPUTED
    headers = [JSON]
    if isinstance(error, Overloaded):
        headers += [
            (b"retry-after", b"%d" % error.retry_after_s),
            (b"x-shed-reason", error.reason.encode()),
        ]
    elif isinstance(error, Unauthorized):
        headers.append(CHALLENGE)
    return ErrorAnswer(status, headers, msgspec.json.encode({"error": text}))
