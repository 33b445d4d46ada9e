"""Quantiles of times that were counted in buckets. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from driftgate.monitoring.windows.cells import NumericCells


class Latency(NamedTuple):
    """Quantiles in milliseconds; None where nothing was counted."""

    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None


def latency_of(limits_ms: Sequence[float], counts: Sequence[int]) -> Latency:
    """Return the quantiles of times counted between ascending limits, int[limits + 1].

    The first bucket begins at 0, the last has no upper limit; times lie evenly within a bucket.
    """
    cumulated = list(accumulate(counts))
    if not cumulated or not cumulated[-1]:
        return Latency()
    return Latency(*(_quantile(limits_ms, cumulated, share) for share in (0.5, 0.9, 0.99)))


def latency_of_cells(cells: NumericCells, counts: Sequence[int]) -> Latency:
    """Return the quantiles of times that a window counted in cells."""
    ordered = counts[NumericCells.BELOW : cells.above + 1]
    return latency_of(cells.thresholds, ordered)


def _quantile(limits: Sequence[float], cumulated: Sequence[int], share: float) -> float:
    wanted = share * cumulated[-1]
    place = bisect_left(cumulated, wanted)
    if place >= len(limits):
        return float(limits[-1])
    low = limits[place - 1] if place else 0.0
    before = cumulated[place - 1] if place else 0
    return float(low + (limits[place] - low) * (wanted - before) / (cumulated[place] - before))
