"""Deletes cached versions that nobody needs any more."""

import asyncio
from collections.abc import Callable

from driftgate.gateway.logs import Logger
from driftgate.models.registry.cache import VersionCache

Digests = Callable[[], frozenset[str]]


class Sweeper:
    """Sweeps one cache whenever what is needed has changed. All methods run on the event loop.

    `needed` and `in_use` are asked anew for each version, just before it is deleted: what became needed while
    a sweep was running stays.
    """

    def __init__(self, cache: VersionCache, needed: Digests, in_use: Digests, logger: Logger) -> None:
        self._cache = cache
        self._needed = needed
        self._in_use = in_use
        self._logger = logger
        self._swept: frozenset[str] | None = None
        self._task: asyncio.Task[None] | None = None

    def sweep_when_changed(self) -> None:
        """Begin a sweep unless one is running, or nothing has changed since the last complete one."""
        needed = self._needed()
        if self._task is None and self._swept != needed:
            self._task = asyncio.create_task(self._sweep(needed))

    def stop(self) -> None:
        """Cancel a running sweep."""
        if self._task:
            self._task.cancel()

    async def _sweep(self, needed: frozenset[str]) -> None:
        try:
            complete = True
            for digest in await asyncio.to_thread(self._cache.digests):
                if digest in self._needed():
                    continue
                if digest in self._in_use():
                    complete = False
                else:
                    await asyncio.to_thread(self._cache.remove, digest)
            self._swept = needed if complete else None
        except OSError as error:
            self._logger.warning("cache_not_swept", error=repr(error))
        finally:
            self._task = None
