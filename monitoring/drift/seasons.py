"""References of the hours of the week, and how a model comes to be judged by them. Pure.

The rule kept here: nobody is notified of drift before somebody saw what would have notified and armed it,
and an hour is judged by its own rows. Few rows widen its band; nothing pulls it towards the other hours.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.band import Band, reference_band, reference_shares

HOURS = 168
HOUR_US = 3_600_000_000
WEEK_US = HOURS * HOUR_US
TOLERANCE = 0.005
"""Within an hour shares move too; half a percent of the rows is what a season may move unseen."""
WEEKS_TO_PROPOSE = 2
_THURSDAY = 3 * 24


class Watch(StrEnum):
    """How drift of a model is watched. Only ARMED notifies; evidence is shown in all."""

    OBSERVING = "observing"
    PROPOSED = "proposed"
    ARMED = "armed"


def hour_of_week(time_us: int, utc_offset_s: int = 0) -> int:
    """Return the hour of the week, 0 to 167 from Monday midnight, of a Unix time in microseconds."""
    return ((time_us + utc_offset_s * 1_000_000) // HOUR_US + _THURSDAY) % HOURS


class SeasonalReference:
    """Counts of each hour of the week: they add over windows and over references of other weeks.

    `counts` int64[HOURS, cells], `rows` int64[HOURS, features]; `offsets` as in `reference_band`. Windows
    that are known to be bad are left out by not being added.
    """

    def __init__(self, offsets: Array) -> None:
        """Begin without rows."""
        self.offsets = offsets
        self.counts = np.zeros((HOURS, int(offsets[-1])), np.int64)
        self.rows = np.zeros((HOURS, len(offsets) - 1), np.int64)

    def update(self, hour: int, counts: Array, rows: Array) -> None:
        """Add a window of an hour: int[cells], int[features]."""
        self.counts[hour] += counts
        self.rows[hour] += rows

    def merge(self, other: "SeasonalReference") -> None:
        """Add another reference of the same cells."""
        self.counts += other.counts
        self.rows += other.rows

    def band(self, hour: int, tolerance: float = TOLERANCE) -> Band:
        """Return the band of an hour, from its own rows.

        It reaches to the middle between its share and that of the hour before and after, which shares pass on
        their way; where such a neighbour has no rows, it has no say. The mistake is shared among all hours.
        """
        judged = HOURS * int(self.offsets[-1])
        own = reference_band(self.counts[hour], self.offsets, tolerance, judged, self.rows[hour])
        low, high = own.low, own.high
        for other in ((hour - 1) % HOURS, (hour + 1) % HOURS):
            share, rows = reference_shares(self.counts[other], self.offsets, self.rows[other])
            half = np.where(rows > 0, (share - own.share) / 2, 0.0)
            low = np.minimum(low, own.low + half)
            high = np.maximum(high, own.high + half)
        return Band(np.clip(low, 0.0, 1.0), own.share, np.clip(high, 0.0, 1.0))


def judged_by_hour(
    reference: SeasonalReference, tolerance: float = TOLERANCE, utc_offset_s: int = 0
) -> tuple[Array, Callable[[int], Bets]]:
    """Return which bets can be made in any hour, for a detector, and the bets of a window by its start.

    The reference must not change any more. Bets of an hour are made anew when it comes: all would be large.
    """

    @lru_cache(maxsize=2)
    def bets_of(hour: int) -> Bets:
        return bets_against(reference.band(hour, tolerance))

    open_bets = np.zeros_like(bets_of(0).open)
    for hour in range(HOURS):
        open_bets |= bets_of(hour).open
    return open_bets, lambda start_us: bets_of(hour_of_week(start_us, utc_offset_s))
