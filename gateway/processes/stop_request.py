"""SIGTERM and SIGINT for a process that works and waits in turns, without a loop of events."""

import queue
import signal
from types import FrameType


class StopRequest:
    """Notes that the process was told to stop.

    A handler runs between any two instructions of the main thread. In the midst of `threading.Event.wait` it
    would wait for ever to set the event, for the lock that the wait holds; a SimpleQueue may be filled there.
    """

    def __init__(self) -> None:
        self.asked = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def install(self) -> None:
        """Take SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until told to stop."""
        try:
            self._wake.get(timeout=0.0 if self.asked else seconds)
        except queue.Empty:
            return

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._wake.put(None)
