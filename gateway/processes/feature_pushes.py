"""The way from a worker to the process that writes pushed features: one connection, many pushes at a time."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from driftgate.features.errors import StoreError, StoreFull, StoreUnavailable
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.gateway.processes.feature_frames import (
    MAX_FRAME_BYTES,
    Failed,
    MalformedFrame,
    Push,
    Pushed,
    Reply,
    encode_frame,
    replies_in,
)
from driftgate.gateway.processes.socket_names import reachable

_NOT_THERE = "the process that writes pushed features does not answer; push again, that is safe"


class FeaturePushes:
    """Sends pushes and waits until they are on the disk; connects when it is needed, and again when it broke.

    For one event loop.
    """

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        """`path` is the socket of the writer; `timeout_s` the patience with one push."""
        self._path = path
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def push(self, view: str, rows: Sequence[PackedRow]) -> list[PushOutcome]:
        """Write packed rows and return what became of each, once they are durable.

        Raises StoreFull, StoreUnavailable and StoreError. After StoreUnavailable the rows may or may not be
        written; pushing them again is safe.
        """
        keys, packed = tuple(key for key, _ in rows), tuple(row for _, row in rows)
        reply = await self._ask(Push(next(self._ids), view, keys, packed))
        return [PushOutcome(outcome) for outcome in reply.outcomes]

    def close(self) -> None:
        """Close the connection; who still waits gets StoreUnavailable."""
        if self._connection is not None:
            self._connection.close()

    async def _ask(self, request: Push) -> Pushed:
        frame = encode_frame(request)
        if len(frame) > MAX_FRAME_BYTES:
            raise StoreError("these are too many rows for one push: push them in parts")
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await (await self._connected()).ask(request.id, frame)
        except (TimeoutError, OSError) as error:
            raise StoreUnavailable(_NOT_THERE) from error
        if isinstance(reply, Failed):
            raise StoreFull(reply.reason) if reply.is_full else StoreError(reply.reason)
        return reply

    async def _connected(self) -> "_Connection":
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                with reachable(self._path) as name:
                    _, self._connection = await asyncio.get_running_loop().create_unix_connection(
                        _Connection, name
                    )
            return self._connection


class _Connection(asyncio.Protocol):
    """Gives each reply to the one who waits for it."""

    def __init__(self) -> None:
        self.is_closed = False
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to send."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one and does not inherit it

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete."""
        self._buffer += data
        try:
            for reply in replies_in(self._buffer):
                waiting = self._waiting.get(reply.id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        except MalformedFrame:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who waits."""
        self.is_closed = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError())

    async def ask(self, number: int, frame: bytes) -> Reply:
        """Send a frame and return the reply of that number; raises OSError when the connection breaks."""
        if self._transport is None or self.is_closed:
            raise ConnectionResetError
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._transport.write(frame)
            return await waiting
        finally:
            del self._waiting[number]

    def close(self) -> None:
        """Close it; `connection_lost` follows."""
        if self._transport is not None:
            self._transport.close()
