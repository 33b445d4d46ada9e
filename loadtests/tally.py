"""What a run saw: each request's due time, latency and outcome, in bounded memory, and sums of them."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

LONGEST_US = 3_600_000_000
DIGITS = 3
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True)
class Latency:
    """Latencies in milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    longest: float


@dataclass(frozen=True)
class Second:
    """One second of a run: what was due in it."""

    at_s: int
    answered: int
    failed: int
    p50_ms: float
    p99_ms: float


@dataclass
class Tally:
    """Requests by due time (ms from the start), latency (µs from the due time) and target number.

    Failures are kept apart: they have a kind and a due time and never a latency. Nine bytes an answer, so
    that a long run fits into memory.
    """

    due_ms: "array[int]" = field(default_factory=lambda: array("I"))
    latency_us: "array[int]" = field(default_factory=lambda: array("I"))
    targets: "array[int]" = field(default_factory=lambda: array("B"))
    failed_ms: "array[int]" = field(default_factory=lambda: array("I"))
    errors: "Counter[str]" = field(default_factory=Counter)

    def answer(self, target: int, due_us: int, latency_us: int) -> None:
        """Count a right answer."""
        self.due_ms.append(due_us // 1000)
        self.latency_us.append(min(latency_us, LONGEST_US))
        self.targets.append(target)

    def fail(self, kind: str, due_us: int) -> None:
        """Count a request that got no right answer."""
        self.errors[kind] += 1
        self.failed_ms.append(max(0, due_us) // 1000)

    @property
    def answered(self) -> int:
        """How many answers were right."""
        return len(self.due_ms)

    @property
    def failed(self) -> int:
        """How many requests were not answered rightly."""
        return len(self.failed_ms)

    def latency(self, target: int | None = None, from_s: float = 0.0, until_s: float = 1e9) -> Latency:
        """Return the latencies of what was due in [from_s, until_s), of one target or of all."""
        due, latencies = _view(self.due_ms), _view(self.latency_us)
        chosen = (due >= from_s * 1e3) & (due < until_s * 1e3)
        if target is not None:
            chosen &= np.frombuffer(self.targets, np.uint8) == target
        return latency_of(latencies[chosen])

    def answered_within(self, limit_ms: float, from_s: float, until_s: float) -> int:
        """Return how much of what was due in [from_s, until_s) was answered rightly within `limit_ms`."""
        due, latencies = _view(self.due_ms), _view(self.latency_us)
        chosen = (due >= from_s * 1e3) & (due < until_s * 1e3) & (latencies <= limit_ms * 1e3)
        return int(chosen.sum())

    def last_bad_s(self, limit_ms: float) -> float:
        """Return when the last request was due that failed or took longer than `limit_ms`, 0 without one."""
        late = _view(self.due_ms)[_view(self.latency_us) > limit_ms * 1e3]
        return max((int(part.max()) for part in (late, _view(self.failed_ms)) if len(part)), default=0) / 1e3

    def histogram(self) -> HdrHistogram:
        """Return all latencies in microseconds as an HDR histogram of three digits."""
        return histogram_of(_view(self.latency_us))

    def seconds(self) -> tuple[Second, ...]:
        """Return the run second by second."""
        due, latencies = _view(self.due_ms) // 1000, _view(self.latency_us)
        failed = _view(self.failed_ms) // 1000
        last = max((int(part.max()) for part in (due, failed) if len(part)), default=-1)
        return tuple(
            _second(number, latencies[due == number], int((failed == number).sum()))
            for number in range(last + 1)
        )


def latency_of(latencies_us: NDArray[np.uint32]) -> Latency:
    """Return the percentiles of latencies given in microseconds."""
    if not len(latencies_us):
        return Latency(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    histogram = histogram_of(latencies_us)
    p50, p90, p99, p999 = (histogram.get_value_at_percentile(percent) / 1000 for percent in PERCENTILES)
    return Latency(len(latencies_us), p50, p90, p99, p999, int(latencies_us.max()) / 1000)


def histogram_of(latencies_us: NDArray[np.uint32]) -> HdrHistogram:
    """Return an HDR histogram of values in microseconds."""
    histogram = HdrHistogram(1, LONGEST_US, DIGITS)
    values, counts = np.unique(np.clip(latencies_us, 1, LONGEST_US), return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return histogram


def _second(number: int, latencies: NDArray[np.uint32], failed: int) -> Second:
    if not len(latencies):
        return Second(number, 0, failed, 0.0, 0.0)
    p50, p99 = np.percentile(latencies, (50, 99)) / 1000
    return Second(number, len(latencies), failed, float(p50), float(p99))


def _view(values: "array[int]") -> NDArray[np.uint32]:
    return np.frombuffer(values, np.uint32) if len(values) else np.zeros(0, np.uint32)
