"""Looks at the registry: now and then, one at a time, in a thread.

An unreadable registry is no empty one: while it cannot be read there is no snapshot.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

from driftgate.gateway.logs import Logger
from driftgate.models.errors import RegistryUnavailable
from driftgate.models.registry.snapshot import RegistryModel, RegistrySnapshot, RegistrySource


class RegistryWatch:
    """What one registry showed last. All methods run on the event loop.

    `on_seen` is told of every look that succeeded, before it counts; `wake` is set after every look.
    """

    def __init__(self, registry: RegistrySource, poll_s: float, wake: asyncio.Event, logger: Logger) -> None:
        self._registry = registry
        self._poll_s = poll_s
        self._wake = wake
        self._logger = logger
        self._task: asyncio.Task[None] | asyncio.Task[RegistryModel] | None = None
        self._looked_at = -math.inf
        self._begun = 0
        self.on_seen: Callable[[RegistrySnapshot], None] = lambda snapshot: None
        self.snapshot: RegistrySnapshot | None = None
        self.problem = ""
        self.looks = 0
        """The number of the last look that is done."""

    def look_when_due(self, now: float) -> None:
        """Begin a look if none is running and the last one began `poll_s` ago; `now` is monotonic."""
        if self._task is None and now - self._looked_at >= self._poll_s:
            self._looked_at = now
            self._begun += 1
            self._task = asyncio.create_task(self._look())

    def rescan(self) -> int:
        """Have a look begin as soon as possible; return its number."""
        self._looked_at = -math.inf
        self._wake.set()
        return self._begun + 1

    async def amend(self, write: Callable[[], RegistryModel]) -> None:
        """Let `write` change a model in the registry while nobody looks at it; it returns what is there then.

        A request submitted right after this, without waiting in between, commits it as the operator's own.
        """
        while self._task:
            await asyncio.wait([self._task])
        self._task = writing = asyncio.create_task(asyncio.to_thread(write))
        try:
            model = await writing
        finally:
            self._task = None
        if self.snapshot:
            self.snapshot = replace(self.snapshot, models={**self.snapshot.models, model.name: model})

    def stop(self) -> None:
        """Cancel what is under way."""
        if self._task:
            self._task.cancel()

    async def _look(self) -> None:
        try:
            self.snapshot = await asyncio.to_thread(self._registry.scan)
            if self.problem:
                self._logger.info("registry_available")
            self.problem = ""
            self.on_seen(self.snapshot)
        except RegistryUnavailable as error:
            self._note(str(error))
        except Exception as error:  # a task's edge: an unreadable registry unloads nothing
            self._note(f"the registry cannot be read ({type(error).__name__})")
        finally:
            self.looks, self._task = self._begun, None
            self._wake.set()

    def _note(self, problem: str) -> None:
        self.snapshot = None
        if problem != self.problem:
            self._logger.warning("registry_unavailable", reason=problem)
        self.problem = problem
