"""A back-test sends what a detector would have sent."""

import numpy as np

from driftgate.monitoring.drift.backtest import StoredWindows, backtest
from driftgate.monitoring.drift.e_detector import EDetector
from driftgate.monitoring.drift.seasons import HOUR_US

from harness.seasons import MONDAY_US
from harness.streams import SIXTEENTHS, drawn, drifting, offsets_of, reference_bets, sixteenths_shifted

MINUTE_US = 60_000_000
SHARES = [SIXTEENTHS] * 6


def stored(counts: np.ndarray, rows: int, step_us: int = MINUTE_US) -> StoredWindows:
    """Windows one after the other."""
    starts = MONDAY_US + np.arange(len(counts)) * step_us
    return StoredWindows(starts, counts, np.full((len(counts), 6), rows))


def test_a_drift_notifies_once_and_again_after_it_was_acknowledged() -> None:
    """Five hours of drift, each notification acknowledged after two: three, all naming the feature."""
    rng = np.random.default_rng(1)
    bets = reference_bets(rng, SHARES, 20_000)
    counts = drifting(rng, SHARES, {4: sixteenths_shifted(0.5)}, (200, 120, 300))
    detector = EDetector(offsets_of(SHARES), bets.open)
    found = backtest(stored(counts, 200), detector, lambda _: bets, 40_320.0, 2 * HOUR_US)
    assert len(found) == 3
    assert all(one.features == (4,) for one in found)
    began = MONDAY_US + 120 * MINUTE_US
    assert abs(found[0].onset_us - began) <= 3 * MINUTE_US
    assert 0 <= found[0].window_us - began <= 10 * MINUTE_US
    assert found[1].window_us - found[0].window_us >= 2 * HOUR_US


def test_steady_windows_notify_nobody() -> None:
    """Two days without drift."""
    rng = np.random.default_rng(2)
    bets = reference_bets(rng, SHARES, 20_000)
    detector = EDetector(offsets_of(SHARES), bets.open)
    windows = stored(drawn(rng, SHARES, 100, 2_880), 100)
    assert backtest(windows, detector, lambda _: bets, 40_320.0) == []
