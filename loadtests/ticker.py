"""A timer with microsecond precision for an event loop: its own timers are rounded to milliseconds."""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_NONBLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Ticker:
    """Calls back once at each time it is armed for (Linux timerfd, CLOCK_MONOTONIC)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCKING)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "no timer descriptor")
        loop.add_reader(self._descriptor, self._fired)

    def arm(self, when_ns: int) -> None:
        """Call back at `when_ns` (time.monotonic_ns), at once if that is past."""
        seconds, nanoseconds = divmod(max(when_ns, 1), 1_000_000_000)
        timer = _Timer(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(timer), None)

    def close(self) -> None:
        """Never call back again."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _fired(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # armed anew between the wake-up and now
            return
        self._callback()


def now_ns() -> int:
    """The clock of all send times and latencies."""
    return time.monotonic_ns()
