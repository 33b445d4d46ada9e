"""Pushing rows into Redis from an event loop: one thread that writes, pushes one after the other."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.writer import RedisFeatureWriter
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.rows.push_outcome import PushOutcome

PATIENCE_S = 5.0
"""With one push, those before it included."""


class RedisPushes:
    """Pushes for one event loop, as those into the embedded store."""

    def __init__(self, writer: RedisFeatureWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "redis-pushes")

    async def push(self, view: str, rows: Sequence[PackedRow]) -> list[PushOutcome]:
        """Write packed rows and return what became of each, see RedisFeatureWriter.push.

        Raises StoreFull and StoreUnavailable; then some may be written, and pushing them again is safe.
        """
        write = partial(self._writer.push, view, rows, time.time_ns() // 1000)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, write)
        except TimeoutError:
            raise StoreUnavailable("Redis did not take the rows in time; push again, that is safe") from None

    def close(self) -> None:
        """Close the connection after what is being written."""
        self._thread.submit(self._writer.close)
        self._thread.shutdown(wait=False)
