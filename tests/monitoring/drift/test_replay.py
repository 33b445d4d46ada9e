"""What would have notified: drift in stored windows when it came, seasons once they are known never."""

import numpy as np
import pytest

from driftgate.monitoring.drift.plan import Judging, Thin
from driftgate.monitoring.drift.replay import Replayed, backtest_version
from driftgate.monitoring.drift.seasons import HOUR_US, WEEK_US
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import CountedPane, PaneKey
from driftgate.monitoring.windows.pane_quality import PaneQuality
from driftgate.monitoring.windows.thinned_rows import ThinnedRows

from harness.seasons import MONDAY_US

WINDOW_US = HOUR_US // 2
ROWS = 2000
TARGET = 4 * WEEK_US / WINDOW_US * 3


def profile() -> ReferenceProfile:
    """A reference of one normally distributed number."""
    sample = ReferenceSample()
    values = np.random.default_rng(1).normal(size=20_000).astype(np.float32)
    sample.update([Observed("age", "input", values)], row_priorities(0, 20_000))
    return sample.get("training")


class Traffic:
    """Stored windows of one arm: a daily cycle of some size, and a shift from a time on."""

    def __init__(self, cycle: float, shift: float = 0.0, shifted_us: int = 2**62) -> None:
        self.profile = profile()
        self._cycle, self._shift, self._shifted_us = cycle, shift, shifted_us
        self._edges = np.array(self.profile.features[0].cells.thresholds)  # type: ignore[union-attr]  # a number

    def find(self, model: str, first_us: int, end_us: int) -> list[tuple[PaneKey, CountedPane]]:
        """Return the windows that began between two times."""
        return [(self._key(start), self._pane(start)) for start in range(first_us, end_us, WINDOW_US)]

    def _key(self, start_us: int) -> PaneKey:
        return PaneKey("m", 1, "stable", "", "reference", start_us)

    def _pane(self, start_us: int) -> CountedPane:
        mean = self._cycle * np.sin(2 * np.pi * start_us / (24 * HOUR_US))
        mean += self._shift if start_us >= self._shifted_us else 0.0
        values = np.random.default_rng(start_us // WINDOW_US).normal(mean, 1.0, ROWS).astype(np.float32)
        counts = np.zeros(int(self.profile.offsets()[-1]), np.int64)
        found = np.bincount(np.searchsorted(self._edges, values, "right"), minlength=len(self._edges) + 1)
        counts[1 : 1 + len(found)] = found
        return CountedPane(ROWS, 0, counts, PaneQuality(), lambda: np.zeros(1))


class TrafficOfEntities(Traffic):
    """One entity of a window has half of its rows, all in one cell that moves from week to week."""

    def _pane(self, start_us: int) -> CountedPane:
        pane = super()._pane(start_us)
        thinned = ThinnedRows.empty(len(pane.counts), 0)
        thinned.rows, thinned.counts = pane.rows, pane.counts
        often = pane.counts.copy()
        often[3 + (start_us - MONDAY_US) // WEEK_US] += ROWS
        return pane._replace(rows=2 * ROWS, counts=often, read_thinned=lambda: thinned)


def replayed(traffic: Traffic, weeks: float, thin: Thin = "none") -> Replayed:
    """So many weeks of it."""
    end_us = MONDAY_US + int(weeks * WEEK_US)
    return Replayed("m", 1, "reference", traffic.profile, MONDAY_US, end_us, TARGET, Judging(thin=thin))


def test_steady_weeks_notify_nobody() -> None:
    """Windows like the reference, judged by it alone while there are no two weeks."""
    found = backtest_version(replayed(steady := Traffic(0.0), 1.0), steady.find)
    assert (found.windows, found.by_hours, found.alarms) == (336, False, ())


def test_a_shift_is_found_when_it_came_and_every_four_hours_again() -> None:
    """Onset and feature are told; acknowledged four hours later, drift that lasts notifies again."""
    traffic = Traffic(0.0, shift=0.5, shifted_us=MONDAY_US + WEEK_US // 2)
    found = backtest_version(replayed(traffic, 0.6), traffic.find)
    first, second = found.alarms[:2]
    assert first.features == ("age",)
    assert 0 <= first.window_us - (MONDAY_US + WEEK_US // 2) <= 2 * HOUR_US
    assert abs(first.onset_us - (MONDAY_US + WEEK_US // 2)) <= HOUR_US
    assert 4 * HOUR_US <= second.window_us - first.window_us <= 6 * HOUR_US


@pytest.mark.parametrize(("weeks", "by_hours"), [(1.9, False), (3.0, True)])
def test_two_weeks_are_judged_by_the_hours_of_the_others(weeks: float, by_hours: bool) -> None:
    """A daily cycle notifies all the time against the reference alone, and never against its own hours."""
    traffic = Traffic(0.3)
    found = backtest_version(replayed(traffic, weeks), traffic.find)
    assert found.by_hours == by_hours
    assert bool(found.alarms) != by_hours


def test_hours_are_those_of_the_rows_that_count() -> None:
    """Where one row of each entity counts, hours are learnt from these too, as when it is armed."""
    traffic = TrafficOfEntities(0.0)
    assert backtest_version(replayed(traffic, 3.0, "entity"), traffic.find).alarms == ()
    assert backtest_version(replayed(traffic, 3.0), traffic.find).alarms
