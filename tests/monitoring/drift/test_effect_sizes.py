"""Effect sizes are what they say, are near 0 without a difference, and say when there are too few rows."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from driftgate.monitoring.drift.effect_sizes import (
    EffectSizes,
    effect_sizes,
    js_distance,
    ks_distance,
    psi,
    w1_in_sigma,
)
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.windows.cells import numeric_cells


def counts_in(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many values are below, between and above the thresholds."""
    return np.bincount(np.searchsorted(thresholds, values, side="right"), minlength=len(thresholds) + 1)


@pytest.mark.parametrize("rows", [150, 1_000, 100_000])
def test_the_psi_of_nothing_is_nothing(rows: int) -> None:
    """Over many windows without a difference its mean is 0: what chance adds is taken off."""
    rng = np.random.default_rng(1)
    shares = np.full(16, 1 / 16)
    found = [psi(rng.multinomial(10_000, shares), rng.multinomial(rows, shares)) for _ in range(400)]
    assert abs(np.mean(found)) < 0.01


def test_the_psi_is_the_stated_sum() -> None:
    """Of smoothed shares, less (K - 1) (1/n + 1/m); cells that are empty on both sides do not count."""
    reference, window = np.array([600, 400, 0]), np.array([50, 150, 0])
    p, q = (reference[:2] + 0.5) / 1001, (window[:2] + 0.5) / 201
    expected = ((q - p) * np.log(q / p)).sum() - (1 / 200 + 1 / 1000)
    assert psi(reference, window) == pytest.approx(expected)
    assert psi(reference[:2], window[:2]) == pytest.approx(expected)


def test_the_js_distance_has_base_two() -> None:
    """The same as scipy's with base 2; 1 for what has nothing in common."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = rng.integers(0, 50, 12) + np.eye(12, dtype=int)[0], rng.integers(0, 50, 12) + 1
        assert js_distance(a, b) == pytest.approx(jensenshannon(a, b, base=2))
    assert js_distance(np.array([9, 0]), np.array([0, 5])) == 1.0
    assert js_distance(np.array([9, 3]), np.array([9, 3])) == 0.0


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 2.0])
def test_w1_of_a_shift_is_the_shift(shift: float) -> None:
    """In standard deviations, to what sixteen cells and the cut tails can tell."""
    rng = np.random.default_rng(3)
    reference, window = rng.normal(5, 3, 100_000), rng.normal(5 + 3 * shift, 3, 50_000)
    thresholds = np.array(numeric_cells(reference).thresholds)
    found = w1_in_sigma(counts_in(thresholds, reference), counts_in(thresholds, window), thresholds)
    low, high = np.quantile(reference, [0.001, 0.999])
    exact = wasserstein_distance(reference.clip(low, high), window.clip(low, high)) / 3
    assert found == pytest.approx(exact, rel=0.17, abs=0.01)


def test_outliers_change_no_effect_size_much() -> None:
    """A value of 1e6 in the window or in the reference is one row, not a scale."""
    rng = np.random.default_rng(4)
    reference, window = rng.normal(size=20_000), rng.normal(1.0, 1.0, size=2_000)
    clean = np.array(numeric_cells(reference).thresholds)
    reference[0], window[0] = 1e6, -1e6
    spoilt = np.array(numeric_cells(reference).thresholds)
    for thresholds in (clean, spoilt):
        sizes = effect_sizes(counts_in(thresholds, reference), counts_in(thresholds, window), thresholds)
        assert isinstance(sizes, EffectSizes)
        assert sizes.psi == pytest.approx(1.0, abs=0.25)
        assert sizes.magnitude == "large"
        assert sizes.w1_sigma == pytest.approx(1.0, abs=0.3)
        assert sizes.ks == pytest.approx(0.38, abs=0.05)


def test_ks_is_the_largest_distance_of_cumulated_shares() -> None:
    """At the borders of cells."""
    assert ks_distance(np.array([5, 5, 0]), np.array([0, 5, 5])) == pytest.approx(0.5)


def test_a_constant_reference_has_no_sigma() -> None:
    """Nothing is measured in standard deviations of what does not vary."""
    thresholds = np.array(numeric_cells(np.full(500, 3.0)).thresholds)
    reference, window = counts_in(thresholds, np.full(500, 3.0)), counts_in(thresholds, np.full(500, 4.0))
    assert w1_in_sigma(reference, window, thresholds) is None
    sizes = effect_sizes(reference, window, thresholds)
    assert isinstance(sizes, EffectSizes)
    assert (sizes.w1_sigma, sizes.ks) == (None, 1.0)


def test_a_window_of_nulls_has_no_distance_of_numbers() -> None:
    """The PSI tells of the nulls; there are no numbers to compare."""
    sizes = effect_sizes(
        np.array([0, 0, 500, 500, 0]), np.array([900, 0, 0, 0, 0]), np.array([0.0, 1.0, 2.0]), 1
    )
    assert isinstance(sizes, EffectSizes)
    assert sizes.magnitude == "large"
    assert (sizes.w1_sigma, sizes.ks) == (None, None)


@pytest.mark.parametrize(
    ("reference", "window", "reason", "needed"),
    [
        ([0, 0], [50, 50], "there is no reference", None),
        ([8, 8], [500, 500], "the reference has 16 rows", None),
        ([5000, 5000], [3, 2], "5 rows", 29),
        ([5000, 5000], [0, 0], "0 rows", 29),
    ],
)
def test_too_few_rows_are_said_as_such(
    reference: list[int], window: list[int], reason: str, needed: int | None
) -> None:
    """Instead of a number that is mostly chance, and with how many rows would do."""
    found = effect_sizes(np.array(reference), np.array(window))
    assert isinstance(found, NotEnoughData)
    assert reason in found.reason
    assert (found.rows, found.needed) == (sum(window), needed)
