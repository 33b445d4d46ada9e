"""Quotas of tokens, the same for all workers: one shared file with the time up to which each is used up.

The generic cell rate algorithm (ITU-T I.371): a token's cell holds the time at which its next request is
due at an even pace; a request may come early by what its burst allows. So a quota is a line of intervals, one
for each request. A worker leases the next few of them under a lock that is held for a microsecond, and then
lets as many requests in without asking anybody. An interval serves one request, early or while it lasts, but
never when it is over: no stretch of time sees more requests than rate and burst allow, whatever becomes of a
lease. What a worker leases and does not use the others miss: at most `Pace.lease` - 1 requests of a burst.

A worker that stands still with the lock is waited for once a second at most. Meanwhile the others lease
nothing, count each request without the lock, and may count two as one.
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
PATIENCE_NS = 20_000_000
"""For who has the lock: thousands of times as long as it is held, if that process gets to run."""
ALONE_NS = NS
"""How long nobody is waited for again, once that patience was in vain."""
LEASE_S = 0.002
"""How far ahead a worker takes requests: a quota below one request in that time is asked for each of them."""
BURST_SHARE = 64
"""A lease is at most this part of a burst, so that many workers can hold one each and leave most of it."""


class Pace(NamedTuple):
    """A quota in nanoseconds: a request per interval, early by at most the reach; `lease` of them at once."""

    interval_ns: int
    reach_ns: int
    lease: int

    @classmethod
    def of(cls, quota: Quota) -> "Pace":
        """Return the pace of a quota."""
        interval_ns = round(NS / quota.requests_per_s)
        lease = min(int(quota.requests_per_s * LEASE_S), quota.burst // BURST_SHARE)
        return cls(interval_ns, interval_ns * (quota.burst - 1), max(1, lease))


class Ruling(NamedTuple):
    """What a worker is given: the intervals from `due_ns` to `end_ns`; or none, and how long to wait."""

    due_ns: int
    end_ns: int
    wait_ns: int


def rule(due_ns: int, now_ns: int, pace: Pace, most: int) -> Ruling:
    """Decide at `now_ns`, where the next request was due at `due_ns`, on 1 to `most` requests.

    A due time further off than the burst reaches is from before the machine was started, or another token's;
    it counts for no more than a full burst.
    """
    interval_ns, reach_ns, _ = pace
    due_ns = min(max(due_ns, now_ns), now_ns + reach_ns + interval_ns)
    early_ns = now_ns + reach_ns - due_ns
    if early_ns < 0:
        return Ruling(due_ns, due_ns, -early_ns)
    count = min(most, early_ns // interval_ns + 1)
    return Ruling(due_ns, due_ns + count * interval_ns, 0)


class _Lease:
    """Intervals of one quota that are this worker's: from `due_ns` to `end_ns`."""

    __slots__ = ("due_ns", "end_ns", "pace", "quota")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.pace = Pace.of(quota)
        self.due_ns = self.end_ns = 0


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
        self._leases: dict[int, _Lease] = {}
        self._alone_until_ns = 0

    def take(self, quota: Quota) -> float:
        """Count one request; return 0.0 if it may be answered now, else after how many seconds it may."""
        lease = self._leases.get(quota.cell)
        if lease is None or lease.quota is not quota:  # the tokens were read again
            lease = self._leases[quota.cell] = _Lease(quota)
        now_ns, due_ns = self._clock(), lease.due_ns
        after_ns = (due_ns if due_ns > now_ns else now_ns) + lease.pace.interval_ns
        if after_ns > lease.end_ns:
            return self._renew(lease, now_ns)
        lease.due_ns = after_ns
        return 0.0

    def _renew(self, lease: _Lease, now_ns: int) -> float:
        """Take a lease and one request of it; return 0.0, or the seconds after which there is one."""
        cells, cell, pace = self._cells, lease.quota.cell, lease.pace
        ruling = rule(cells[cell], now_ns, pace, 1)
        if ruling.wait_ns:
            return ruling.wait_ns / NS
        locked = self._lock(now_ns)
        try:
            ruling = rule(cells[cell], self._clock(), pace, pace.lease if locked else 1)
            if not ruling.wait_ns:
                cells[cell] = ruling.end_ns
        finally:
            if locked:
                flock(self._descriptor, LOCK_UN)
        if not ruling.wait_ns:
            lease.due_ns, lease.end_ns = ruling.due_ns + pace.interval_ns, ruling.end_ns
        return ruling.wait_ns / NS

    def _lock(self, now_ns: int) -> bool:
        """Get the lock, waiting for another process that has it, but not for one that stands still."""
        while True:
            try:
                flock(self._descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                if now_ns < self._alone_until_ns:
                    return False
                if self._clock() - now_ns > PATIENCE_NS:
                    self._alone_until_ns = now_ns + ALONE_NS
                os.sched_yield()
            else:
                return True
