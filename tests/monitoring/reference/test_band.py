"""The band of a reference holds the true shares, as often as it says."""

import numpy as np
import pytest

from driftgate.monitoring.reference.band import MISTAKE, Band, reference_band

from harness.streams import SIXTEENTHS, drawn, offsets_of

RARE = 1 / np.arange(1, 101) ** 2


@pytest.mark.parametrize("rows", [20, 200, 1_000, 20_000])
@pytest.mark.parametrize(
    "shares", [SIXTEENTHS, RARE / RARE.sum(), np.array([0.999, 0.001]), np.array([0.5, 0.5])], ids=len
)
def test_the_band_misses_a_true_share_as_seldom_as_it_says(rows: int, shares: np.ndarray) -> None:
    """Of many references at most one in a hundred leaves out the true share of any cell."""
    rng = np.random.default_rng(1)
    references = drawn(rng, [shares], rows, 1_000)
    offsets = offsets_of([shares])
    missed = 0
    for counts in references:
        band = reference_band(counts, offsets)
        missed += bool(((shares < band.low) | (shares > band.high)).any())
    assert missed <= MISTAKE * len(references)


def test_the_band_is_the_stated_one_where_counts_are_large() -> None:
    """share -/+ z sqrt(share (1 - share) / m), z of 1 - 0.01 / (2 cells), to 1 % of its width."""
    counts = np.full(16, 62_500)
    band = reference_band(counts, np.array([0, 16]))
    share = 62_500.5 / 1_000_008
    error = 3.4198 * np.sqrt(share * (1 - share) / 1e6)
    assert band.share == pytest.approx(np.full(16, share))
    assert band.high - share == pytest.approx(np.full(16, error), rel=0.01)
    assert share - band.low == pytest.approx(np.full(16, error), rel=0.01)


def test_a_tolerance_widens_the_band() -> None:
    """No cell is narrower than the change that nobody minds."""
    band = reference_band(np.array([900_000, 100_000]), np.array([0, 2]), tolerance=0.02)
    assert band.high[1] == pytest.approx(0.12, abs=1e-5)
    assert band.low[1] == pytest.approx(0.08, abs=1e-5)


def test_more_judged_cells_widen_the_band() -> None:
    """The mistake is shared among all cells that are judged together."""
    counts, offsets = np.array([500, 500]), np.array([0, 2])
    few, many = reference_band(counts, offsets), reference_band(counts, offsets, judged_cells=10_000)
    assert (many.high > few.high).all()
    assert (many.low < few.low).all()


def test_a_feature_without_reference_rows_may_be_anything() -> None:
    """Nothing counted, nothing known: each share from 0 to 1 is possible."""
    band = reference_band(np.array([0, 0, 0, 40, 60]), np.array([0, 3, 5]))
    assert band.low[:3].tolist() == [0, 0, 0]
    assert band.high[:3].tolist() == [1, 1, 1]
    assert (band.high[3:] < 1).all()


def test_a_cell_that_was_never_hit_may_still_be_hit_a_little() -> None:
    """No hit in 10,000 rows allows about a tenth of a percent, so one new value is no evidence."""
    band = reference_band(np.array([10_000, 0]), np.array([0, 2]))
    assert band.low[1] == 0
    assert 5e-4 < band.high[1] < 2e-3


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.6, 0.5), (0.5, 1.1), (np.nan, 0.5)])
def test_a_band_that_is_none_is_refused(low: float, high: float) -> None:
    """Shares lie between 0 and 1, the low one below the high one."""
    with pytest.raises(ValueError, match="low <= high"):
        Band(np.array([low]), np.array([0.5]), np.array([high]))
