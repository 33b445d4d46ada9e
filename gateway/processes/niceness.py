"""Priority of threads whose work nobody waits for."""

import os
import threading

NICENESS = 10
"""About a tenth of a busy core. Lower would starve a thread that holds the interpreter's lock just then."""


def be_nice() -> None:
    """Let the calling thread run after those that answer requests."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
