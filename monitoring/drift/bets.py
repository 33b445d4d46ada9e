"""Bets against the reference: what a window's counts multiply the capital of each bet by. Pure.

Every bet is fair or worse while shares stay within their band, whatever the window's size, so that capital is
evidence of drift and of nothing else.
"""

from dataclasses import dataclass

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.band import RAREST, Band

STAKES = (0.02, 0.05, 0.1, 0.2, 0.4)
RARE = 0.02
RARE_STAKES = (0.002, 0.01, 0.05, 0.2, 0.4)
"""Of bets on what few rows do. The best stake is about the rise of a share: small ones find 0.3 % nulls."""
SIDES = 2
BETS_PER_CELL = SIDES * len(STAKES)
# e**345 squared is still a float64, and its inverse no subnormal
MAX_LOG = 345.0


@dataclass(frozen=True)
class Bets:
    """Bets of one band, float64[cells, BETS_PER_CELL]: those that a cell rises, then those that it falls.

    A window with c of n rows in a cell multiplies capital by exp(c * per_hit + n * per_row), or as one
    observation by the mean of what its rows would have multiplied it by. `open` tells where a bet can win at
    all: none can on a cell that may rise to 1 or fall to 0. All are in Fortran order: long runs of cells are
    fast.
    """

    per_hit: Array
    per_row: Array
    open: Array


def bets_against(band: Band) -> Bets:
    """Return the bets that shares leave a band.

    Rising, with stake g and L = g / high: a hit pays 1 + L (1 - high), another row 1 - L high. Falling, with
    L' = g / (1 - low): a hit pays 1 - L' (1 - low), another row 1 + L' low.
    """
    high, low = band.high[:, None], band.low[:, None]
    misses = np.maximum(1 - low, RAREST)
    rising = np.where(high < 1, _stakes(high) / high, 0.0)
    falling = np.where(low > 0, _stakes(misses) / misses, 0.0)
    hit = np.hstack([np.log1p(rising * (1 - high)), np.log1p(-falling * (1 - low))])
    other = np.hstack([np.log1p(-rising * high), np.log1p(falling * low)])
    parts = (hit - other, other, np.hstack([rising, falling]) > 0)
    return Bets(*map(np.asfortranarray, parts))


def log_growth(bets: Bets, hits: Array, rows: Array) -> Array:
    """Return the logarithm of what capital grows by, float64[cells, bets], within -/+ MAX_LOG.

    `hits` and `rows` number[cells]; each row is an observation of its own.
    """
    growth = bets.per_hit * hits[:, None]
    growth += bets.per_row * rows[:, None]
    return np.asarray(growth.clip(-MAX_LOG, MAX_LOG, out=growth))


def log_growth_of_window(bets: Bets, hits: Array, rows: Array) -> Array:
    """Return the same where the whole window is one observation, as when its rows depend on each other."""
    share = hits / np.maximum(rows, 1)
    # (c / n) * e**(per_hit + per_row) + (1 - c / n) * e**per_row, less 1
    growth = np.expm1(bets.per_hit) * share[:, None]
    growth *= np.exp(bets.per_row)
    growth += np.expm1(bets.per_row)
    return np.asarray(np.log1p(growth, out=growth))


def _stakes(shares: Array) -> Array:
    return np.where(shares < RARE, RARE_STAKES, STAKES)
