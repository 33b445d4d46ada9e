"""Predictions over plain ASGI, for requests that cannot take the protocol's short way (pipelined ones)."""

import asyncio

from starlette.types import Receive, Scope, Send

from driftgate.gateway.errors import GatewayError
from driftgate.gateway.http.answers import CLOSE, Header, send_answer
from driftgate.gateway.serving.exchange import ClientGone, Exchange
from driftgate.gateway.serving.predict import PredictPath

Reply = tuple[int, list[Header], bytes]


class AsgiExchange(Exchange):
    """An exchange whose answer an ASGI task waits for."""

    __slots__ = ("answered",)

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def reply(self, status: int, fields: bytes, body: bytes, close: bool) -> None:
        """Hand the answer to the task."""
        if not self.answered.done():
            lines = [line.split(b": ", 1) for line in fields.splitlines()]
            headers = [(name, value) for name, value in lines]
            self.answered.set_result((status, [*headers, CLOSE] if close else headers, body))


async def predict_over_asgi(predict: PredictPath, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one prediction request whose path is one of `predict.endpoints`."""
    exchange = AsgiExchange(scope["path"])
    predict.open_raw(exchange, scope["headers"])
    try:
        if not exchange.answered.done():
            predict.run(exchange, await _body(predict, exchange, receive))
    except GatewayError as error:
        predict.refuse(exchange, error)
    except ClientGone as error:
        predict.refuse(exchange, error)
        return
    if not await _is_answered(exchange, receive):
        predict.abandon(exchange)
        return
    status, headers, content = exchange.answered.result()
    await send_answer(send, status, headers, content)


async def _is_answered(exchange: AsgiExchange, receive: Receive) -> bool:
    """Wait for the answer, but no longer than the client does; return whether there is one."""
    if not exchange.answered.done():
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait((exchange.answered, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
    return exchange.answered.done()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(predict: PredictPath, exchange: Exchange, receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        predict.collect(exchange, len(parts[-1]))
    return parts[0] if len(parts) == 1 else b"".join(parts)
