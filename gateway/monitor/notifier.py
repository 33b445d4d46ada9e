"""Tells receivers, in a thread of its own: nothing that a receiver does holds up the monitor.

Each receiver has a queue and a task, so that one that hangs delays no other. What fails is tried again, with
growing pauses, for an hour; the monitor learns from `delivered` who was told.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from driftgate.monitoring.alerts.alert import State
from driftgate.monitoring.alerts.delivery import NotDelivered, Receiver
from driftgate.monitoring.alerts.status import ReceiverFigure

MOST_WAITING = 100
"""Documents for one receiver; beyond it they are dropped, and counted."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
GIVE_UP_AFTER_S = 3600.0


class Told(NamedTuple):
    """What a document says of one alert."""

    alert: str
    said: State


class Parcel(NamedTuple):
    """One document for one receiver. `id` is the same at every attempt."""

    receiver: str
    id: str
    body: bytes
    told: tuple[Told, ...]


class Notifier:
    """The thread, from `start` to `stop`."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        note: Callable[[str], None],
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._receivers = dict(receivers)
        self._note = note
        self._first_pause_s = first_pause_s
        self._figures = {name: ReceiverFigure(name) for name in receivers}
        self._delivered: deque[Parcel] = deque()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._queues = {name: asyncio.Queue[Parcel](MOST_WAITING) for name in receivers}
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Deliver no more; what was not delivered is told again by the next monitor."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(within_s)

    def offer(self, parcel: Parcel) -> None:
        """Queue a document for a receiver that is known."""
        self._loop.call_soon_threadsafe(self._put, parcel)

    def delivered(self) -> list[Parcel]:
        """Return what has been delivered since the last call."""
        found = []
        with contextlib.suppress(IndexError):
            while True:
                found.append(self._delivered.popleft())
        return found

    def figures(self) -> tuple[ReceiverFigure, ...]:
        """Return how the receivers fare."""
        return tuple(
            replace(figure, waiting=self._queues[name].qsize()) for name, figure in self._figures.items()
        )

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve_all())
        self._loop.close()

    async def _serve_all(self) -> None:
        tasks = [self._loop.create_task(self._serve(name)) for name in self._receivers]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _put(self, parcel: Parcel) -> None:
        try:
            self._queues[parcel.receiver].put_nowait(parcel)
        except asyncio.QueueFull:
            self._drop(parcel, "too many notifications wait for it")

    async def _serve(self, name: str) -> None:
        while True:
            parcel = await self._queues[name].get()
            await self._deliver(parcel)

    async def _deliver(self, parcel: Parcel) -> None:
        pause_s, since = self._first_pause_s, time.monotonic()
        while True:
            reason, again = await self._attempt(parcel)
            if not reason:
                return
            if not again or time.monotonic() - since + pause_s > GIVE_UP_AFTER_S:
                self._drop(parcel, reason)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _attempt(self, parcel: Parcel) -> tuple[str, bool]:
        """Deliver once; return why it failed, empty if it did not, and whether to try again."""
        try:
            await self._receivers[parcel.receiver].deliver(parcel.body, parcel.id, int(time.time()))
        except NotDelivered as error:
            reason, again = str(error), error.again
        except Exception as error:  # the thread's edge: one receiver must not end the telling of others
            reason, again = type(error).__name__, False
        else:
            self._delivered.append(parcel)
            reason = ""
        figure = self._figures[parcel.receiver]  # not before: others may be dropped meanwhile
        count = {"failed": figure.failed + 1} if reason else {"sent": figure.sent + 1}
        self._figures[parcel.receiver] = replace(figure, **count, failing=bool(reason), reason=reason)
        if not reason:
            return "", False
        self._note(f"receiver {parcel.receiver}: {reason}")
        return reason, again

    def _drop(self, parcel: Parcel, reason: str) -> None:
        figure = self._figures[parcel.receiver]
        self._figures[parcel.receiver] = replace(figure, dropped=figure.dropped + len(parcel.told))
        self._note(f"receiver {parcel.receiver}: {len(parcel.told)} notifications are dropped: {reason}")
