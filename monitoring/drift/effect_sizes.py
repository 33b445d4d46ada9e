"""How large a difference is, for people. Never an alarm: what these numbers mean changes with rows and cells.

All take counts of the same cells, which never depend on the current data, so that an outlier cannot hide a
shift. Pure.
"""

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np

from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.log.record import Array

MODERATE_PSI, LARGE_PSI = 0.1, 0.25
IQR_OF_NORMAL = 1.349
"""How many standard deviations apart the quartiles of a normal distribution are."""
_NOISE = MODERATE_PSI
_TAIL = np.array([0.016, 0.03, 0.06, 0.12, 0.25, 0.5])
"""Shares of an outermost cell, from its end on: 0.016 of one sixteenth is 0.1 %."""
_TAIL_PLACES = np.array([1.0, 0.877, 0.732, 0.577, 0.398, 0.211])
"""Where a normal distribution has them, in parts of the way from the cell's inner border to its 0.1 %."""
_TAIL_CELLS = 4.0
"""How much longer that way is than the next cell, in a normal distribution."""
_THIN = 0.01

Magnitude = Literal["small", "moderate", "large"]


class EffectSizes(msgspec.Struct, frozen=True, tag="effect_sizes"):
    """How far a window is from the reference.

    `psi` is without the part that chance alone adds, so it may be below 0; `magnitude` is its band.
    `js_distance` has base 2 (0 to 1). `w1_sigma` (Wasserstein, in reference standard deviations) and `ks`
    are of the finite numbers alone, None where there are none or the reference does not vary.
    """

    psi: float
    magnitude: Magnitude
    js_distance: float
    w1_sigma: float | None = None
    ks: float | None = None


def effect_sizes(
    reference: Array, window: Array, thresholds: Array | None = None, first: int = 0
) -> EffectSizes | NotEnoughData:
    """Compare a feature's counts, int[cells]; numbers also by their `thresholds`, where they have any.

    Cells `first` to `first + len(thresholds)` lie below, between and above the thresholds. Not enough data:
    chance alone would move the PSI by its first band.
    """
    lacking = _lacking(reference, window)
    if lacking:
        return lacking
    index = psi(reference, window)
    magnitude: Magnitude = "small" if index < MODERATE_PSI else "moderate" if index < LARGE_PSI else "large"
    w1 = ks = None
    if thresholds is not None:
        part = slice(first, first + len(thresholds) + 1)
        w1 = _of_numbers(lambda a, b: w1_in_sigma(a, b, thresholds), reference[part], window[part])
        ks = _of_numbers(ks_distance, reference[part], window[part])
    return EffectSizes(index, magnitude, js_distance(reference, window), w1, ks)


def psi(reference: Array, window: Array) -> float:
    """Return the population stability index less what it is on average without a difference.

    sum (q - p) ln(q / p), p and q = (c + 1/2) / (n + K/2), less (K - 1) (1/n + 1/m). Cells that are empty
    on both sides are left out: they say nothing, and smoothing would make them differ.
    """
    used = (reference + window) > 0
    c, d, k = reference[used], window[used], int(used.sum())
    m, n = int(c.sum()), int(d.sum())
    p, q = (c + 0.5) / (m + 0.5 * k), (d + 0.5) / (n + 0.5 * k)
    return float(((q - p) * np.log(q / p)).sum() - (k - 1) * (1 / n + 1 / m))


def js_distance(reference: Array, window: Array) -> float:
    """Return the Jensen-Shannon distance: the root of the divergence in bits, 0 to 1."""
    p, q = reference / reference.sum(), window / window.sum()
    middle = (p + q) / 2
    bits = (_entropy_to(p, middle) + _entropy_to(q, middle)) / 2
    return float(np.sqrt(min(max(bits, 0.0), 1.0)))


def ks_distance(reference: Array, window: Array) -> float:
    """Return the largest distance of the cumulated shares of ordered cells, at their borders."""
    return float(np.abs(_cumulated(reference) - _cumulated(window)).max())


def w1_in_sigma(reference: Array, window: Array, thresholds: Array) -> float | None:
    """Return the Wasserstein distance of ordered cells, in the reference's interquartile range / 1.349.

    int[len(thresholds) + 1] counts. Rows lie evenly within a cell, and in both outermost ones as in the tails
    of a normal distribution, cut off at about its 0.1 % and 99.9 %. A shift of 2 sigma comes out as 1.6.
    None: half of the reference or more is in one cell.
    """
    p, q = _cumulated(reference)[:-1], _cumulated(window)[:-1]
    if len(thresholds) < 2 or np.diff(p).max() >= 0.5:
        return None
    low, high = np.interp((0.25, 0.75), p, thresholds)
    knots = _tailed(_tailed(np.stack([thresholds, p, q]))[:, ::-1])[:, ::-1]
    gaps = knots[1] - knots[2]
    return float(_area(np.diff(knots[0]), gaps[:-1], gaps[1:]) / ((high - low) / IQR_OF_NORMAL))


def _tailed(knots: Array) -> Array:
    """Return (value, share, share) of thresholds with the first cell cut into a normal tail, and cut short.

    Where hardly anything is in the first cell, as at one extreme value, it goes with the second.
    """
    if abs(knots[1, 1] - knots[1, 0]) < _THIN and knots.shape[1] > 2:
        knots = np.delete(knots, 1, axis=1)
    first, second, third = knots[:, 0], knots[:, 1], knots[:, min(2, knots.shape[1] - 1)]
    reach = min(abs(second[0] - first[0]), _TAIL_CELLS * abs(third[0] - second[0]))
    tail = second[:, None] + (first - second)[:, None] * (1 - _TAIL)
    tail[0] = second[0] + np.sign(first[0] - second[0]) * reach * _TAIL_PLACES
    return np.hstack([tail, knots[:, 1:]])


def _area(widths: Array, left: Array, right: Array) -> float:
    """The integral of |a line| over each width, from `left` to `right`: two triangles where it crosses 0."""
    total = np.abs(left) + np.abs(right)
    crossing = left * right < 0
    with np.errstate(invalid="ignore"):
        triangles = (left * left + right * right) / total
    return float((widths * np.where(crossing, triangles, total)).sum() / 2)


def _lacking(reference: Array, window: Array) -> NotEnoughData | None:
    """The PSI of samples alike varies like chi-square times 1/n + 1/m; two such deviations are a band."""
    m, n = int(reference.sum()), int(window.sum())
    if not m:
        return NotEnoughData("there is no reference", n)
    cells = int(((reference + window) > 0).sum())
    spread = 2 * float(np.sqrt(2 * max(cells - 1, 1)))
    room = _NOISE / spread - 1 / m
    if room <= 0:
        return NotEnoughData(f"the reference has {m} rows, and needs {int(spread / _NOISE) + 1}", n)
    needed = int(np.ceil(1 / room))
    return None if n >= needed else NotEnoughData(f"{n} rows; from {needed} on it can be said", n, needed)


def _of_numbers(measure: Callable[[Array, Array], float | None], a: Array, b: Array) -> float | None:
    return measure(a, b) if a.sum() and b.sum() else None


def _cumulated(counts: Array) -> Array:
    return np.asarray(np.cumsum(counts) / counts.sum())


def _entropy_to(p: Array, middle: Array) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / middle[some])).sum())
