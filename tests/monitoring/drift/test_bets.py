"""Bets are fair or worse within the band: the whole guarantee rests on this."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.drift.bets import (
    MAX_LOG,
    RARE_STAKES,
    STAKES,
    bets_against,
    log_growth,
    log_growth_of_window,
)
from driftgate.monitoring.reference.band import Band

SHARES = st.floats(0.0, 1.0)


def band_of(low: float, high: float) -> Band:
    """A band of one cell."""
    return Band(np.array([low]), np.array([(low + high) / 2]), np.array([max(high, 1e-9)]))


def binomial(rows: int, share: float) -> np.ndarray:
    """The probabilities of 0 to `rows` hits."""
    ways = np.array([math.comb(rows, hits) for hits in range(rows + 1)], float)
    hits = np.arange(rows + 1)
    return np.asarray(ways * share**hits * (1 - share) ** (rows - hits))


@given(SHARES, SHARES, SHARES, st.integers(1, 40), st.booleans())
def test_no_bet_wins_on_average_within_the_band(
    a: float, b: float, where: float, rows: int, one_observation: bool
) -> None:
    """For each share in the band, number of rows and bet, capital is expected not to grow."""
    low, high = min(a, b), max(a, b)
    bets = bets_against(band_of(low, high))
    share = low + where * (high - low)
    hits, trials = np.arange(rows + 1.0), np.full(rows + 1, float(rows))
    grow = log_growth_of_window if one_observation else log_growth
    each = np.array([grow(bets, hits[[hit]], trials[[hit]])[0] for hit in range(rows + 1)])
    expected = binomial(rows, share) @ np.exp(each)
    assert (expected <= 1 + 1e-6).all()


def test_growth_is_the_stated_product() -> None:
    """c ln(1 + L(1 - up)) + (n - c) ln(1 - L up) rising, and its mirror image falling."""
    low, high, hits, rows = 0.2, 0.3, 5, 20
    growth = log_growth(bets_against(band_of(low, high)), np.array([hits]), np.array([rows]))[0]
    for place, stake in enumerate(STAKES):
        rising, falling = stake / high, stake / (1 - low)
        up = hits * math.log(1 + rising * (1 - high)) + (rows - hits) * math.log(1 - rising * high)
        down = hits * math.log(1 - falling * (1 - low)) + (rows - hits) * math.log(1 + falling * low)
        assert growth[place] == pytest.approx(up)
        assert growth[len(STAKES) + place] == pytest.approx(down)


def test_rare_cells_are_bet_on_with_small_stakes() -> None:
    """Where few rows are expected, a small rise is found by a small stake, and by no larger one."""
    bets = bets_against(band_of(0.0, 0.001))
    growth = log_growth(bets, np.array([3.0]), np.array([1000.0]))[0]
    assert growth[: len(RARE_STAKES)].argmax() == 0
    assert growth[0] > 0


@pytest.mark.parametrize(
    ("low", "high", "open_sides"), [(0.0, 1.0, (0, 0)), (0.0, 0.5, (1, 0)), (0.5, 1.0, (0, 1))]
)
def test_nobody_bets_on_what_cannot_win(low: float, high: float, open_sides: tuple[int, int]) -> None:
    """A share that may be 1 cannot rise, one that may be 0 cannot fall; such bets leave capital as it is."""
    bets = bets_against(band_of(low, high))
    assert tuple(bets.open.reshape(2, -1).all(axis=1).astype(int)) == open_sides
    growth = log_growth(bets, np.array([3.0]), np.array([7.0]))
    assert (growth[~bets.open] == 0).all()


@pytest.mark.parametrize("hits", [0.0, 1.0, 1e9])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1e-9), (1 - 1e-9, 1.0), (0.5, 0.5)])
def test_growth_is_finite_whatever_the_counts(low: float, high: float, hits: float) -> None:
    """A billion rows in one window, in the rarest cell or in the commonest, overflow nothing."""
    bets = bets_against(band_of(low, high))
    for grow in (log_growth, log_growth_of_window):
        growth = grow(bets, np.array([hits]), np.array([1e9]))
        assert np.isfinite(growth).all()
        assert (np.abs(growth) <= MAX_LOG).all()


def test_a_window_as_one_observation_is_weaker_evidence() -> None:
    """Rows that follow from each other say less than as many independent ones."""
    bets = bets_against(band_of(0.05, 0.07))
    hits, rows = np.array([20.0]), np.array([100.0])
    assert log_growth_of_window(bets, hits, rows).max() < log_growth(bets, hits, rows).max()
