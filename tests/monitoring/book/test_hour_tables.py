"""Long times are read by the hour: the same counts, from a few panes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.book.hour_tables import stretches
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey, PaneShape
from driftgate.monitoring.windows.pane_retention import HOUR_US

SHAPE = PaneShape(features=1, cells=3, paired=0)
HOURS = 4
UNTIL_US = (HOURS * 60 + 20) * PANE_US


def key_of(minute: int, segment: str = ALL_ROWS) -> PaneKey:
    """The window of a minute."""
    return PaneKey("m", 1, "stable", segment, "profile", minute * PANE_US)


def pane_of(minute: int) -> Pane:
    """A window with counts of its own."""
    pane = Pane.empty(SHAPE)
    pane.rows = minute % 7
    pane.counts[:] = np.arange(3) * minute
    return pane


@pytest.fixture(name="db")
def db_fixture(tmp_path: Path) -> MonitorDb:
    """Four hours and twenty minutes of sealed windows, of all rows and of a segment, summed."""
    minutes = range(30, UNTIL_US // PANE_US)
    sealed = {key_of(minute, segment): pane_of(minute) for minute in minutes for segment in (ALL_ROWS, "a=b")}
    db = MonitorDb(tmp_path / "monitor.db")
    db.commit(Checkpoint({}, windows=WindowChanges(UNTIL_US, sealed)))
    while db.sum_next_hour():
        pass
    return db


def totals(db: MonitorDb, times: tuple[int, ...], by_hours: bool) -> list[int]:
    """All counts between the first and the last time, added up, with rows and late rows."""
    found = db.hour_counts("m", times) if by_hours else db.pane_counts("m", min(times), max(times))
    counts = sum((pane.counts for _, pane in found), np.zeros(3, np.int64))
    return [*counts.tolist(), sum(pane.rows for _, pane in found), sum(pane.late_rows for _, pane in found)]


@pytest.mark.parametrize(
    ("times", "panes"),
    [
        ((0, UNTIL_US), HOURS + 20),
        ((0, 90 * PANE_US, UNTIL_US), HOURS + 20 + 59),
        ((45 * PANE_US, 2 * HOUR_US), 15 + 1),
        ((HOUR_US, 2 * HOUR_US, 2 * HOUR_US + PANE_US), 2),
        ((70 * PANE_US, 80 * PANE_US), 10),
    ],
)
def test_hours_have_the_counts_of_their_minutes(db: MonitorDb, times: tuple[int, ...], panes: int) -> None:
    """Whole hours between two times come as one pane each; nothing is left out or counted twice."""
    assert len(db.hour_counts("m", times)) == panes
    assert totals(db, times, by_hours=True) == totals(db, times, by_hours=False)


def test_late_rows_are_in_their_hour_too(db: MonitorDb) -> None:
    """Rows that are late for a summed hour are told with it."""
    late = {key_of(70): 3, key_of(0): 9, key_of(HOURS * 60 + 1): 2}
    db.commit(Checkpoint({}, windows=WindowChanges(UNTIL_US, late=late)))
    assert totals(db, (0, UNTIL_US), by_hours=True)[-1] == 5


def test_nothing_is_lost_while_minutes_are_merged(db: MonitorDb) -> None:
    """However far old minutes have been merged away, the sums are the same, and no hour is kept twice."""
    before = totals(db, (0, UNTIL_US), by_hours=True)
    while db.merge_next_hour(2 * HOUR_US):
        assert totals(db, (0, UNTIL_US), by_hours=True) == before
    assert not db.sum_next_hour()
    assert totals(db, (0, UNTIL_US), by_hours=True) == before


def test_a_book_that_was_not_summed_yet_is_read_by_its_minutes(tmp_path: Path) -> None:
    """Before the monitor has come that far, long times are slower, and right."""
    db = MonitorDb(tmp_path / "monitor.db")
    db.commit(Checkpoint({}, windows=WindowChanges(UNTIL_US, {key_of(5): pane_of(5)})))
    assert len(db.hour_counts("m", (0, UNTIL_US))) == 1
    assert db.first_pane_us("m") == 5 * PANE_US
    assert db.first_pane_us("other") is None


@given(
    times=st.lists(st.integers(0, 30 * HOUR_US), min_size=2, max_size=5),
    summed=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_every_moment_is_read_once(times: list[int], summed: tuple[int, int]) -> None:
    """Stretches follow each other without a gap; hours are whole, summed, and have no time inside."""
    bounds = summed[0] * HOUR_US, summed[1] * HOUR_US
    found = [one for one in stretches(times, bounds) if one[0] != "live"]
    edges = Counter(edge for _, first, end in found for edge in (first, end))
    assert sum(end - first for _, first, end in found) == max(times) - min(times)
    assert all(count == 2 for edge, count in edges.items() if min(times) < edge < max(times))
    for table, first, end in found:
        if table == "hours":
            assert first % HOUR_US == end % HOUR_US == 0
            assert bounds[0] <= first < end <= bounds[1]
            assert not any(first < time_us < end and time_us % HOUR_US for time_us in times)
