"""The smallest change that a reference and its traffic can show, and after how many rows. Pure.

"No drift found" means something only together with this.
"""

from collections.abc import Callable
from statistics import NormalDist

import msgspec
import numpy as np

from driftgate.monitoring.drift.bets import Bets
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.log.record import Array

LARGEST_SHIFT_SIGMA = 5.0
_STEPS = 30
_NORMAL = NormalDist()


class Power(msgspec.Struct, frozen=True, tag="power"):
    """The smallest change that is found within the rows that there are, on average, and after how many.

    `size` is in standard deviations of the feature, or the share of rows that turn to one value.
    """

    size: float
    rows: int


def capital_needed(target: float, features: int, open_bets: int) -> float:
    """Return the logarithm of what one bet must win alone for the model's evidence to reach its target.

    Evidence is the mean over `features` of the mean over their `open_bets`.
    """
    return float(np.log(target * features * max(open_bets, 1)))


def rows_to_find(bets: Bets, shares: Array, capital: float) -> float:
    """Return after how many rows one bet wins `capital` (a logarithm) while cells have `shares`; or infinity.

    `bets` of the feature's cells, `shares` float64[cells]. The best bet wins so much a row on average.
    """
    growth = float((bets.per_hit * shares[:, None] + bets.per_row).max())
    return capital / growth if growth > 0 else float("inf")


def shifted(shares: Array, first: int, last: int, sigma: float) -> Array:
    """Return shares of cells when numbers grow by `sigma` standard deviations.

    Cells `first` to `last` (excluded) are ordered; the feature is taken as normal after some transformation,
    so that only its shares matter.
    """
    inner = shares[first:last]
    total = inner.sum()
    if total <= 0:
        return shares
    borders = np.clip(np.cumsum(inner)[:-1] / total, 1e-12, 1 - 1e-12)
    moved = [_NORMAL.cdf(_NORMAL.inv_cdf(float(border)) - sigma) for border in borders]
    changed = shares.copy()
    changed[first:last] = np.diff([0.0, *moved, 1.0]) * total
    return changed


def turned(shares: Array, cell: int, share: float) -> Array:
    """Return shares of cells when such a share of all rows turns to one cell."""
    changed = shares * (1 - share)
    changed[cell] += share
    return np.asarray(changed)


def smallest_shift(
    bets: Bets, shares: Array, ordered: tuple[int, int], capital: float, rows: float
) -> Power | NotEnoughData:
    """Return the smallest shift of a number, up or down, that is found within `rows` on average."""

    def needed(sigma: float) -> float:
        found = (rows_to_find(bets, shifted(shares, *ordered, s), capital) for s in (sigma, -sigma))
        return min(found)

    return _smallest(needed, LARGEST_SHIFT_SIGMA, rows)


def smallest_turn(bets: Bets, shares: Array, cell: int, capital: float, rows: float) -> Power | NotEnoughData:
    """Return the smallest share of rows whose turning to a cell (such as null) is found within `rows`."""
    return _smallest(lambda share: rows_to_find(bets, turned(shares, cell, share), capital), 1.0, rows)


def _smallest(needed: Callable[[float], float], largest: float, rows: float) -> Power | NotEnoughData:
    """Halve the interval: what is found within the rows grows easier with size."""
    at_most = needed(largest)
    if at_most > rows:
        last = None if at_most == float("inf") else int(np.ceil(at_most))
        reason = "the reference has too few rows" if last is None else "too few rows come"
        return NotEnoughData(reason, int(rows), last)
    low, high = 0.0, largest
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if needed(middle) <= rows else (middle, high)
    return Power(high, int(np.ceil(needed(high))))
