"""Whether a load generator measured the server or itself."""

import time
from array import array
from dataclasses import dataclass

import numpy as np

from loadtests.ticker import now_ns

LATE_US = 2000
"""Sends later than this at the 99th percentile are seen in the figures of a fast server."""
BUSY_CORE = 0.95
"""A single-threaded process that has this share of a core has no time left to be punctual."""


@dataclass(frozen=True)
class Fitness:
    """How late the generator itself was, and how much of one core it used."""

    late_p99_ms: float
    late_longest_ms: float
    core_share: float

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the figures say more about the generator than about the server; empty if they do not."""
        found = []
        if self.late_p99_ms * 1000 > LATE_US:
            found.append(
                f"the generator was the bottleneck: its own sends were {self.late_p99_ms:.1f} ms late (p99)"
            )
        if self.core_share > BUSY_CORE:
            found.append(f"the generator was the bottleneck: it used {self.core_share:.0%} of its core")
        return tuple(found)


class SelfCheck:
    """Measures lateness (the loop turned to a request after it was due) and the CPU time of this process."""

    def __init__(self) -> None:
        self._late_us = array("Q")
        self._counts = array("Q")
        self._began_ns = 0
        self._cpu_ns = 0

    def begin(self) -> None:
        """Start to measure."""
        self._began_ns, self._cpu_ns = now_ns(), time.process_time_ns()

    def sent(self, count: int, late_ns: int) -> None:
        """Note that `count` requests were looked at, the first of them so long after it was due."""
        if count:
            self._late_us.append(max(0, late_ns) // 1000)
            self._counts.append(count)

    def verdict(self) -> Fitness:
        """Return what was measured since `begin`."""
        elapsed_ns = max(now_ns() - self._began_ns, 1)
        share = (time.process_time_ns() - self._cpu_ns) / elapsed_ns
        if not self._late_us:
            return Fitness(0.0, 0.0, share)
        late = np.repeat(np.frombuffer(self._late_us, np.uint64), np.frombuffer(self._counts, np.int64))
        return Fitness(float(np.percentile(late, 99)) / 1000, float(late.max()) / 1000, share)
