"""A back-test sends what a detector would have sent, and judges no window by itself."""

import numpy as np
import pytest

from driftgate.monitoring.drift.backtest import StoredWindows, backtest, judged_by_other_weeks
from driftgate.monitoring.drift.e_detector import EDetector
from driftgate.monitoring.drift.proposal import Proposal, proposal
from driftgate.monitoring.drift.seasons import HOUR_US, WEEK_US
from driftgate.monitoring.drift.sufficiency import NotEnoughData

from harness.seasons import FEATURES, MONDAY_US, OFFSETS, WINDOW_US, week_of_shares, weeks_of_counts
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


def test_each_week_is_judged_by_the_others() -> None:
    """Every window is in exactly one week."""
    starts = MONDAY_US + np.arange(50) * (WEEK_US // 20)
    weeks = list(judged_by_other_weeks(starts, WEEK_US))
    assert [week for week, _ in weeks] == [0, 1, 2]
    assert np.sum([chosen for _, chosen in weeks], axis=0).tolist() == [1] * 50
    assert list(judged_by_other_weeks(starts[:0], WEEK_US)) == []


@pytest.mark.parametrize(("shift", "notifies"), [(None, False), ((5, 0.5), True)])
def test_a_proposal_shows_what_it_would_have_notified(
    shift: tuple[int, float] | None, notifies: bool
) -> None:
    """Two weeks alike: nothing. A week that differs from the other: seen, though the reference holds both."""
    rng = np.random.default_rng(3)
    counts = weeks_of_counts(rng, week_of_shares(rng), 500, 2, shift)
    starts = MONDAY_US + np.arange(len(counts)) * WINDOW_US
    windows = StoredWindows(starts, counts, np.full((len(counts), FEATURES), 500))
    found = proposal(windows, OFFSETS, 8_064.0)
    assert isinstance(found, Proposal)
    assert found.reference.counts.sum() == counts.sum()
    assert bool(found.notifications) == notifies
    assert all(one.features == (5,) for one in found.notifications)


@pytest.mark.parametrize("windows", [0, 1, 4_031])
def test_less_than_two_weeks_are_not_enough(windows: int) -> None:
    """Nothing is proposed, and it is said how many windows there must be."""
    starts = MONDAY_US + np.arange(windows) * WINDOW_US
    found = proposal(StoredWindows(starts, np.zeros((windows, 0)), np.zeros((windows, 0))), OFFSETS, 100.0)
    assert isinstance(found, NotEnoughData)
    assert found.rows == windows
    assert found.needed == (4_032 if windows > 1 else None)
