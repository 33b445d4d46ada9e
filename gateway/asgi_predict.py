"""Predictions over plain ASGI, for requests that cannot take the protocol's short way (pipelined ones)."""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from driftgate.gateway.answers import Header, send_answer
from driftgate.gateway.exchange import ClientGone, Exchange
from driftgate.gateway.predict import PredictPath

Reply = tuple[int, list[Header], bytes]


class AsgiExchange(Exchange):
    """An exchange whose answer an ASGI task waits for."""

    __slots__ = ("answered",)

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Hand the answer to the task."""
        if not self.answered.done():
            self.answered.set_result((status, list(headers), body))


async def predict_over_asgi(predict: PredictPath, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one prediction request whose path is one of `predict.endpoints`."""
    exchange = AsgiExchange(scope["path"])
    try:
        predict.open(exchange, scope["headers"])
        body = await _body(predict, receive)
    except Exception as error:  # the edge: whatever went wrong is answered, counted and logged
        predict.refuse(exchange, error)
        if isinstance(error, ClientGone):
            return
    else:
        predict.run(exchange, body)
    status, headers, content = await exchange.answered
    await send_answer(send, status, headers, content)


async def _body(predict: PredictPath, receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        size += len(parts[-1])
        if size > predict.max_body_bytes:
            raise predict.too_large()
    return parts[0] if len(parts) == 1 else b"".join(parts)
