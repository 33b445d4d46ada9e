"""What would have notified: stored windows through the detector again, for a budget. Pure.

Counts are all that a detector ever sees, so this is exactly what it would have done.
"""

from collections.abc import Callable
from dataclasses import dataclass

from driftgate.monitoring.drift.bets import Bets
from driftgate.monitoring.drift.e_detector import EDetector, named
from driftgate.monitoring.log.record import Array

ACKNOWLEDGED_AFTER_US = 4 * 3_600_000_000


@dataclass(frozen=True)
class Notification:
    """A notification that would have been sent: starts of windows; places of features, strongest first."""

    window_us: int
    onset_us: int
    features: tuple[int, ...]


@dataclass(frozen=True)
class StoredWindows:
    """Windows in the order of time: `starts_us` int64[T], `counts` int[T, cells], `rows` int[T, features]."""

    starts_us: Array
    counts: Array
    rows: Array


def backtest(
    windows: StoredWindows,
    detector: EDetector,
    bets_at: Callable[[int], Bets],
    target: float,
    acknowledged_after_us: int = ACKNOWLEDGED_AFTER_US,
) -> list[Notification]:
    """Return the notifications, had each been acknowledged a while later; the detector is used up.

    `bets_at` says by which reference a window that starts then is judged; it should remember what it made.
    """
    found: list[Notification] = []
    silent_until_us: int | None = None
    for start, counts, rows in zip(windows.starts_us.tolist(), windows.counts, windows.rows, strict=True):
        if silent_until_us is not None and start >= silent_until_us:
            detector.reset()
            silent_until_us = None
        detector.update(bets_at(start), counts, rows, start)
        if silent_until_us is None:
            notification = _look(detector, target, start)
            if notification:
                found.append(notification)
                silent_until_us = start + acknowledged_after_us
    return found


def _look(detector: EDetector, target: float, start_us: int) -> Notification | None:
    evidence = detector.evidence()
    if not evidence.model >= target:
        return None
    features = tuple(named(evidence, target).tolist())
    return Notification(start_us, detector.moved(features[0]).onset_us, features)
