"""Rates above what is in order are found fast; rates in order notify nobody."""

import numpy as np
import pytest

from driftgate.monitoring.drift.e_detector import EDetector, named
from driftgate.monitoring.quality.bernoulli import UNEXPECTED_SHARE, highest_rates, rate_bets, rate_detector

TARGET = 40_320.0


def windows_until_alarm(detector: EDetector, highest: np.ndarray, hits: np.ndarray, rows: int) -> int | None:
    """After how many windows evidence reaches the target."""
    bets = rate_bets(highest)
    for number, one in enumerate(hits):
        detector.update(bets, one, np.full(len(one), rows), number)
        if detector.evidence().model >= TARGET:
            return number + 1
    return None


def test_rates_at_the_highest_share_keep_the_run_length() -> None:
    """Five rates exactly as high as allowed, 20,000 windows: no alarm in 20,000 with a target of 40,320."""
    rng = np.random.default_rng(1)
    highest = np.array([0.001, 0.01, 0.05, 0.3, 0.9])
    hits = rng.binomial(100, highest, size=(20_000, 5))
    assert windows_until_alarm(rate_detector(rate_bets(highest)), highest, hits, 100) is None


@pytest.mark.parametrize(("share", "within"), [(0.005, 120), (0.02, 20), (0.2, 2), (1.0, 1)])
def test_a_rate_above_is_found_and_named(share: float, within: int) -> None:
    """Nulls where a thousandth was allowed; the other rates are quiet."""
    rng = np.random.default_rng(2)
    highest = np.full(10, UNEXPECTED_SHARE)
    hits = rng.binomial(100, [0.0005] * 4 + [share] + [0.0] * 5, size=(within, 10))
    detector = rate_detector(rate_bets(highest))
    found = windows_until_alarm(detector, highest, hits, 100)
    assert found is not None
    assert named(detector.evidence(), TARGET).tolist() == [4]


def test_falling_rates_are_no_alarm() -> None:
    """Fewer nulls than in the reference are welcome."""
    highest = highest_rates(np.array([500]), np.array([1000]))
    detector = rate_detector(rate_bets(highest))
    assert windows_until_alarm(detector, highest, np.zeros((1000, 1), int), 100) is None


def test_silence_is_a_rate_of_windows() -> None:
    """A window is one row and a hit if nothing came: three silent ones are enough where none was known."""
    highest = highest_rates(np.array([0]), np.array([20_160]))
    detector = rate_detector(rate_bets(highest))
    assert windows_until_alarm(detector, highest, np.ones((10, 1), int), 1) in (2, 3)


def test_the_highest_rate_covers_the_reference_and_its_error() -> None:
    """It is above what was seen; without rows it is the unexpected share, or what is tolerated."""
    found = highest_rates(np.array([0, 10, 0]), np.array([1000, 1000, 0]))
    assert 0.005 < found[0] < 0.015
    assert 0.015 < found[1] < 0.03
    assert found[2] == UNEXPECTED_SHARE
    assert highest_rates(np.array([0]), np.array([0]), tolerance=0.02).tolist() == [0.02]


def test_never_means_one_in_a_billion() -> None:
    """A rate that must be 0 alarms at the first hits, and a rate that may be 1 never."""
    highest = np.array([0.0])
    detector = rate_detector(rate_bets(highest))
    assert windows_until_alarm(detector, highest, np.array([[1]]), 10) == 1
    anything = np.array([1.0])
    detector = rate_detector(rate_bets(anything))
    assert windows_until_alarm(detector, anything, np.full((100, 1), 10), 10) is None
