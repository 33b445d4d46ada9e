"""Quotas of tokens, the same for all workers: one shared file with the time up to which each is used up.

The generic cell rate algorithm (ITU-T I.371): a token's cell holds the time at which its next request is
due at an even pace; a request may come early by what its burst allows. Whoever lets a request in holds a lock
for a microsecond; no worker ever waits for one that stands still with it, and then two requests may count as
one.
"""

import mmap
import os
import struct
import time
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import NamedTuple

from driftgate.gateway.access.tokens import MAX_TOKENS, Quota

MAGIC = b"DGQUOTA1"
HEADER_BYTES = 64
FILE_BYTES = HEADER_BYTES + 8 * MAX_TOKENS
NS = 1_000_000_000
ATTEMPTS = 20
"""To get the lock: many times as long as it is held."""


class Ruling(NamedTuple):
    """What becomes of one request: when the next one is due, and how long this one has to wait (or 0)."""

    due_ns: int
    wait_ns: int


def rule(due_ns: int, now_ns: int, quota: Quota) -> Ruling:
    """Decide on one request at `now_ns`, where the next was due at `due_ns`.

    A due time further off than the burst reaches is from before the machine was started, or another token's;
    it counts for no more than a full burst.
    """
    interval_ns = round(NS / quota.requests_per_s)
    reach_ns = interval_ns * (quota.burst - 1)
    due_ns = min(max(due_ns, now_ns), now_ns + reach_ns + interval_ns)
    wait_ns = due_ns - reach_ns - now_ns
    return Ruling(due_ns, wait_ns) if wait_ns > 0 else Ruling(due_ns + interval_ns, 0)


class Quotas:
    """The shared cells. `clock` is CLOCK_MONOTONIC in nanoseconds, which all processes share."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A store into a page that a full disk cannot back would kill the process.
            os.posix_fallocate(descriptor, 0, FILE_BYTES)
            self._view = memoryview(mmap.mmap(descriptor, FILE_BYTES))
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        struct.pack_into("8s", self._view, 0, MAGIC)
        self._cells = self._view[HEADER_BYTES:].cast("q")

    def take(self, quota: Quota) -> float:
        """Count one request; return 0.0 if it may be answered now, else after how many seconds it may."""
        cells, cell = self._cells, quota.cell
        seen_ns, now_ns = cells[cell], self._clock()
        due_ns, wait_ns = rule(seen_ns, now_ns, quota)
        if wait_ns:
            return wait_ns / NS
        locked = self._lock()
        try:
            if cells[cell] != seen_ns:  # somebody was faster
                due_ns, wait_ns = rule(cells[cell], now_ns, quota)
            if not wait_ns:
                cells[cell] = due_ns
        finally:
            if locked:
                flock(self._descriptor, LOCK_UN)
        return wait_ns / NS

    def _lock(self) -> bool:
        for _ in range(ATTEMPTS):
            try:
                flock(self._descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                continue
            return True
        return False
