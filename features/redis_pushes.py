"""Pushing rows into Redis from an event loop: one thread that writes, pushes one after the other."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from driftgate.features.delta_writer import PackedRow, PushOutcome
from driftgate.features.redis_writer import RedisFeatureWriter


class RedisPushes:
    """Pushes for one event loop, as those into the embedded store."""

    def __init__(self, writer: RedisFeatureWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "redis-pushes")

    async def push(self, view: str, rows: Sequence[PackedRow]) -> list[PushOutcome]:
        """Write packed rows and return what became of each, see RedisFeatureWriter.push, which raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._writer.push, view, rows, time.time_ns() // 1000)

    def close(self) -> None:
        """Close the connection after what is being written."""
        self._thread.submit(self._writer.close)
        self._thread.shutdown(wait=False)
