"""Reading the body of a request that is no prediction: small, or refused before it is in memory."""

from starlette.requests import Request

from driftgate.gateway.errors import TooLarge

MAX_BODY_BYTES = 2**20


async def read_small_body(request: Request) -> bytes:
    """Return the whole body; raise TooLarge as soon as it has more than `MAX_BODY_BYTES`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"the body has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)
