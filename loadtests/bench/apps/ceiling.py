"""The ceiling: an ASGI application that reads the body and answers `{}`."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
}
BODY: Message = {"type": "http.response.body", "body": b"{}"}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer anything."""
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(BODY)
