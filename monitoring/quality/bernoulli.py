"""Rates that should be low: nulls, type errors, new values, silence. Pure.

Each is a Bernoulli stream with a highest share that is still in order, from a reference with its sampling
error or set by somebody; evidence that it is above is gathered by the detector of drift, one-sided.
"""

import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.e_detector import EDetector
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.band import RAREST, Band, reference_band

UNEXPECTED_SHARE = 0.001
"""Of rows that may be unlike anything expected where no reference says how many: one in a thousand."""


def highest_rates(hits: Array, rows: Array, tolerance: float = 0.0) -> Array:
    """Return the highest share of each rate that a reference allows; `UNEXPECTED_SHARE` where it has no rows.

    `hits` and `rows` int[rates].
    """
    high = reference_band(hits, np.arange(len(hits) + 1), tolerance, rows=rows).high
    return np.where(rows > 0, high, max(UNEXPECTED_SHARE, tolerance))


def rate_bets(highest: Array) -> Bets:
    """Return bets that rates are above their highest shares, float64[rates] between 0 and 1.

    A rate that may be 1 is not watched. Raises ValueError for a share outside of 0 to 1.
    """
    high = np.where(highest == 0, RAREST, highest)
    return bets_against(Band(np.zeros(len(high)), high, high))


def rate_detector(bets: Bets) -> EDetector:
    """Return a detector whose features are rates: update it with their hits and how many rows each had.

    For silence a window is one row, and a hit if nothing came. Raises ValueError if there is no rate.
    """
    return EDetector(np.arange(len(bets.open) + 1), bets.open)
