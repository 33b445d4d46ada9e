"""Seasons are learnt before anybody is notified, and are no drift afterwards."""

import numpy as np
import pytest

from driftgate.monitoring.drift.backtest import Notification, StoredWindows, backtest
from driftgate.monitoring.drift.e_detector import EDetector, rows_of
from driftgate.monitoring.drift.seasons import (
    SeasonalReference,
    hour_of_week,
    judged_by_hour,
)

from harness.seasons import (
    FEATURES,
    MONDAY_US,
    OFFSETS,
    WINDOW_US,
    WINDOWS_A_WEEK,
    week_of_shares,
    weeks_of_counts,
)

FOUR_WEEKS_OF_WINDOWS = 4.0 * WINDOWS_A_WEEK


def starts(windows: int) -> np.ndarray:
    """When windows begin, from a Monday on."""
    return MONDAY_US + np.arange(windows) * WINDOW_US


def learnt(counts: np.ndarray) -> SeasonalReference:
    """The reference of windows from a Monday on."""
    reference = SeasonalReference(OFFSETS)
    for start, one in zip(starts(len(counts)).tolist(), counts, strict=True):
        reference.update(hour_of_week(start), one, rows_of(one, OFFSETS))
    return reference


def notified(reference: SeasonalReference, counts: np.ndarray, rows: int) -> list[Notification]:
    """What windows from a Monday on would have notified."""
    windows = StoredWindows(starts(len(counts)), counts, np.full((len(counts), FEATURES), rows))

    open_bets, bets_at = judged_by_hour(reference)
    return backtest(windows, EDetector(OFFSETS, open_bets), bets_at, FOUR_WEEKS_OF_WINDOWS)


@pytest.mark.parametrize("rows", [100, 20_000])
def test_eight_weeks_of_seasons_notify_nobody_and_a_shift_on_top_does(rows: int) -> None:
    """Cycles of up to 1 sigma in all, two weeks learnt; half a sigma more is found within a day."""
    rng = np.random.default_rng(rows)
    means = week_of_shares(rng)
    reference = learnt(weeks_of_counts(rng, means, rows, 2))
    assert notified(reference, weeks_of_counts(rng, means, rows, 8), rows) == []
    found = notified(reference, weeks_of_counts(rng, means, rows, 2, (5, 0.5)), rows)
    began = int(starts(WINDOWS_A_WEEK + 1)[-1])
    assert 0 <= found[0].window_us - began <= 86_400_000_000
    assert found[0].features == (5,)
    assert abs(found[0].onset_us - began) <= 3_600_000_000


def test_one_reference_for_all_hours_cries_wolf() -> None:
    """The same windows against the mean of the week: that is why hours are learnt."""
    rng = np.random.default_rng(3)
    means = week_of_shares(rng)
    counts = weeks_of_counts(rng, means, 500, 1)
    flat = SeasonalReference(OFFSETS)
    flat.counts += counts.sum(axis=0)
    flat.rows += 500 * len(counts)
    assert len(notified(flat, counts, 500)) > 10


def test_an_hour_without_rows_judges_nothing() -> None:
    """What was never seen may be anything; neighbours without rows do not narrow or widen a band."""
    reference = SeasonalReference(np.array([0, 2]))
    reference.update(10, np.array([900, 100]), np.array([1000]))
    alone = reference.band(10)
    assert (alone.high[1], alone.low[1]) == (pytest.approx(0.15, abs=0.02), pytest.approx(0.05, abs=0.02))
    assert reference.band(11).low.tolist() == [0, 0]
    assert reference.band(11).high.tolist() == [1, 1]


def test_a_band_reaches_half_way_to_its_neighbours() -> None:
    """Shares move within an hour; the way they go is no drift."""
    reference = SeasonalReference(np.array([0, 2]))
    for hour, hits in ((9, 100_000), (10, 200_000), (11, 200_000)):
        reference.update(hour, np.array([1_000_000 - hits, hits]), np.array([1_000_000]))
    band = reference.band(10)
    assert band.low[1] == pytest.approx(0.145, abs=1e-3)
    assert band.high[1] == pytest.approx(0.205, abs=1e-3)


def test_references_of_weeks_add() -> None:
    """Two weeks learnt apart are the two learnt together."""
    rng = np.random.default_rng(4)
    counts = weeks_of_counts(rng, week_of_shares(rng), 50, 2)
    first, second = learnt(counts[:WINDOWS_A_WEEK]), learnt(counts[WINDOWS_A_WEEK:])
    first.merge(second)
    assert (first.counts == learnt(counts).counts).all()


@pytest.mark.parametrize(
    ("time_us", "offset_s", "hour"),
    [
        (0, 0, 72),  # 1970-01-01 was a Thursday
        (MONDAY_US, 0, 0),
        (MONDAY_US - 1, 0, 167),
        (MONDAY_US, 3600, 1),
        (MONDAY_US, -3600, 167),
        (1_795_219_200_000_000, 0, 120),  # 2026-11-21 00:00 UTC, a Saturday
    ],
)
def test_hours_of_the_week_begin_on_monday(time_us: int, offset_s: int, hour: int) -> None:
    """In UTC, or in a zone that is so many seconds off it."""
    assert hour_of_week(time_us, offset_s) == hour
