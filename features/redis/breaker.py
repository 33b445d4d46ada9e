"""A circuit breaker: whether a store that keeps failing is asked now. Pure: takes the time and the chance.

It opens on 5 failures in a row, or when at least half of at least 20 attempts of the last 10 s failed. While
it is open nobody asks; after a wait one probe may. A probe that fails doubles the wait, from 1 s up to 30 s,
each ± 20 % so that workers do not probe in step; one that succeeds closes it.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

FAILURES_IN_A_ROW = 5
LEAST_ATTEMPTS = 20
WINDOW_S = 10
SHORTEST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
SPREAD = 0.2


class BreakerState(Enum):
    """Who may ask: everyone, nobody, or one probe that has not come back."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class _Second(NamedTuple):
    """The attempts of one second."""

    second: int
    attempts: int
    failures: int


class Breaker:
    """The state of one store as one process sees it. `chance` gives numbers in [0, 1), for the spread."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._state = BreakerState.CLOSED
        self._in_a_row = 0
        self._recent: list[_Second] = []
        self._wait_s = SHORTEST_WAIT_S
        self._probe_at = 0.0

    @property
    def state(self) -> BreakerState:
        """Who may ask."""
        return self._state

    def allows(self, now: float) -> bool:
        """Tell whether to ask now; the first yes after the wait is the probe, whose end must be told."""
        if self._state is BreakerState.CLOSED:
            return True
        if now < self._probe_at:
            return False
        self._state = BreakerState.PROBING
        self._probe_at = now + LONGEST_WAIT_S  # should the probe's end never be told
        return True

    def succeeded(self, now: float) -> None:
        """Tell that an attempt ended well."""
        self._in_a_row = 0
        if self._state is BreakerState.PROBING:
            self._state = BreakerState.CLOSED
            self._wait_s = SHORTEST_WAIT_S
            self._recent.clear()
        self._count(now, failed=False)

    def failed(self, now: float) -> None:
        """Tell that an attempt failed."""
        self._in_a_row += 1
        self._count(now, failed=True)
        if self._state is BreakerState.PROBING:
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
            self._open(now)
        elif self._state is BreakerState.CLOSED and self._too_many():
            self._open(now)

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        self._probe_at = now + self._wait_s * (1 - SPREAD + 2 * SPREAD * self._chance())

    def _too_many(self) -> bool:
        attempts = sum(second.attempts for second in self._recent)
        failures = sum(second.failures for second in self._recent)
        return self._in_a_row >= FAILURES_IN_A_ROW or (
            attempts >= LEAST_ATTEMPTS and 2 * failures >= attempts
        )

    def _count(self, now: float, *, failed: bool) -> None:
        second = int(now)
        if not self._recent or self._recent[-1].second != second:
            self._recent = [kept for kept in self._recent if kept.second > second - WINDOW_S]
            self._recent.append(_Second(second, 0, 0))
        last = self._recent[-1]
        self._recent[-1] = _Second(last.second, last.attempts + 1, last.failures + failed)
