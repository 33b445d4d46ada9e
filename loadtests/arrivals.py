"""When requests are due: a rate over time, and from it the time of every single send. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
"""How many times are computed at once: few, because a running load test waits for them."""


@dataclass(frozen=True)
class Point:
    """The offered rate at one moment; between two points it changes evenly."""

    at_s: float
    rate: float


@dataclass(frozen=True)
class Arrivals:
    """A rate over time, in requests per second, from its first point (at 0) to its last."""

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.points) < 2 or self.points[0].at_s != 0:
            raise ValueError("arrivals need a first point at 0 and a last one")
        if any(later.at_s < earlier.at_s for earlier, later in pairwise(self.points)):
            raise ValueError("the points of arrivals must be in order of time")
        if any(point.rate < 0 for point in self.points):
            raise ValueError("a rate cannot be negative")

    @property
    def duration_s(self) -> float:
        """From the first send to the end of the last interval."""
        return self.points[-1].at_s

    @property
    def count(self) -> int:
        """How many requests are due in all."""
        return math.ceil(sum(_area(first, second) for first, second in pairwise(self.points)) - 1e-9)

    def times_ns(self) -> Iterator[int]:
        """Yield when each request is due, in nanoseconds from the start, in order.

        Request k is due when the integral of the rate reaches k.
        """
        done = 0.0
        for first, second in pairwise(self.points):
            area = _area(first, second)
            start, end = math.ceil(done - 1e-9), math.ceil(done + area - 1e-9)
            for block in range(start, end, BLOCK):
                numbers = np.arange(block, min(block + BLOCK, end)) - done
                yield from ((first.at_s + _offset(first, second, numbers)) * 1e9).astype(np.int64).tolist()
            done += area


def steady(rate: float, seconds: float) -> Arrivals:
    """Return arrivals at one fixed rate."""
    return Arrivals((Point(0, rate), Point(seconds, rate)))


def _area(first: Point, second: Point) -> float:
    return (second.at_s - first.at_s) * (first.rate + second.rate) / 2


def _offset(first: Point, second: Point, numbers: NDArray[Any]) -> NDArray[Any]:
    """Solve rate·t + slope·t²/2 = n for t, in the form that is exact for slope 0 too."""
    span = second.at_s - first.at_s
    if span == 0:
        return np.zeros_like(numbers)
    slope = (second.rate - first.rate) / span
    below = first.rate + np.sqrt(np.maximum(first.rate**2 + 2 * slope * numbers, 0))
    offset: NDArray[Any] = np.divide(2 * numbers, below, out=np.zeros_like(numbers), where=below > 0)
    return offset
