"""What a reference and its traffic can show is what simulated streams do show."""

import numpy as np
import pytest

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.power import (
    Power,
    capital_needed,
    rows_to_find,
    shifted,
    smallest_shift,
    smallest_turn,
    turned,
)
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.reference.band import reference_band

from harness.streams import SIXTEENTHS, drifting, first_alarm, offsets_of, reference_bets, sixteenths_shifted

TARGET = 40_320.0
SHARES = np.append(SIXTEENTHS, 0.0)
ORDERED = (0, 16)


def bets_of(reference_rows: int) -> Bets:
    """Bets against a reference with even shares, and a cell that was never hit."""
    counts = np.append(np.full(16, reference_rows // 16), 0)
    return bets_against(reference_band(counts, np.array([0, 17]), judged_cells=340))


def test_a_stated_shift_is_found_in_about_the_stated_rows() -> None:
    """Of 12 simulated streams the median delay is within a factor of two of what is predicted."""
    rng = np.random.default_rng(1)
    shares = [SIXTEENTHS] * 20
    bets = reference_bets(rng, shares, 50_000)
    capital = capital_needed(TARGET, 20, 160)
    changed = sixteenths_shifted(0.3)
    own = bets_against(reference_band(np.full(16, 3_125), np.array([0, 16]), judged_cells=320))
    predicted = rows_to_find(own, changed, capital) / 100
    delays = []
    for _ in range(12):
        stream = drifting(rng, shares, {4: changed}, (100, 50, 150))
        delays.append(first_alarm(bets, offsets_of(shares), stream, 100, TARGET).alarms[0] - 49)
    assert predicted / 2 <= np.median(delays) <= predicted * 2


def test_more_rows_show_smaller_shifts() -> None:
    """Of the reference, and of the traffic."""
    capital = capital_needed(TARGET, 20, 160)

    def size(reference_rows: int, rows: float) -> float:
        found = smallest_shift(bets_of(reference_rows), SHARES, ORDERED, capital, rows)
        assert isinstance(found, Power)
        assert found.rows <= rows + 1
        return found.size

    assert size(100_000, 144_000) < size(10_000, 144_000) < size(1_000, 144_000)
    assert size(10_000, 1_000_000) < size(10_000, 10_000) < size(10_000, 1_000)


def test_the_smallest_share_of_nulls_is_told() -> None:
    """A never-hit cell needs few rows: half a percent of a day's traffic does."""
    found = smallest_turn(bets_of(50_000), SHARES, 16, capital_needed(TARGET, 20, 160), 144_000)
    assert isinstance(found, Power)
    assert 0.0003 < found.size < 0.005


@pytest.mark.parametrize(
    ("reference_rows", "rows", "reason"), [(0, 1e9, "reference"), (50_000, 2.0, "rows come")]
)
def test_where_nothing_can_be_found_it_is_said(reference_rows: int, rows: float, reason: str) -> None:
    """No reference, or hardly any traffic: not enough data, not "no drift"."""
    found = smallest_shift(bets_of(reference_rows), SHARES, ORDERED, 30.0, rows)
    assert isinstance(found, NotEnoughData)
    assert reason in found.reason


def test_changed_shares_are_still_shares() -> None:
    """Shifting and turning keep the sum, and the cells that are not numbers."""
    shares = np.array([0.1, 0.2, 0.3, 0.2, 0.2])
    for sigma in (-3.0, 0.0, 0.5, 5.0):
        moved = shifted(shares, 1, 5, sigma)
        assert moved.sum() == pytest.approx(1.0)
        assert moved[0] == 0.1
        assert (moved >= 0).all()
    assert shifted(shares, 1, 5, 0.0) == pytest.approx(shares)
    assert turned(shares, 0, 0.5) == pytest.approx([0.55, 0.1, 0.15, 0.1, 0.1])
    nothing = np.array([1.0, 0.0, 0.0])
    assert shifted(nothing, 1, 3, 1.0).tolist() == nothing.tolist()
