"""A production reference that is proposed to an operator, with what it would have notified. Pure."""

from dataclasses import dataclass

import numpy as np

from driftgate.monitoring.drift.backtest import Notification, StoredWindows, backtest, judged_by_other_weeks
from driftgate.monitoring.drift.e_detector import EDetector
from driftgate.monitoring.drift.seasons import (
    WEEK_US,
    WEEKS_TO_PROPOSE,
    SeasonalReference,
    hour_of_week,
    judged_by_hour,
)
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.log.record import Array


@dataclass(frozen=True)
class Proposal:
    """A reference of all windows, and the notifications of each week, judged by the other weeks alone."""

    reference: SeasonalReference
    notifications: tuple[Notification, ...]


def proposal(windows: StoredWindows, offsets: Array, target: float) -> Proposal | NotEnoughData:
    """Return the reference of windows and its back-test; not enough data: there are no two whole weeks."""
    starts = windows.starts_us
    seen_us = int(starts[-1] - starts[0]) if len(starts) else 0
    step_us = int(np.diff(starts).min()) if len(starts) > 1 else 0
    if seen_us + step_us < WEEKS_TO_PROPOSE * WEEK_US:
        needed = WEEKS_TO_PROPOSE * WEEK_US // step_us if step_us else None
        return NotEnoughData(f"hours are learnt from {WEEKS_TO_PROPOSE} weeks", len(starts), needed)
    whole = np.ones(len(starts), bool)
    found: list[Notification] = []
    for _, week in judged_by_other_weeks(starts, WEEK_US):
        others, own = _learnt(windows, whole & ~week, offsets), _part(windows, week)
        open_bets, bets_at = judged_by_hour(others)
        found += backtest(own, EDetector(offsets, open_bets), bets_at, target)
    return Proposal(_learnt(windows, whole, offsets), tuple(found))


def _learnt(windows: StoredWindows, chosen: Array, offsets: Array) -> SeasonalReference:
    reference = SeasonalReference(offsets)
    part = _part(windows, chosen)
    for start, counts, rows in zip(part.starts_us.tolist(), part.counts, part.rows, strict=True):
        reference.update(hour_of_week(start), counts, rows)
    return reference


def _part(windows: StoredWindows, chosen: Array) -> StoredWindows:
    return StoredWindows(windows.starts_us[chosen], windows.counts[chosen], windows.rows[chosen])
