"""Old windows become hours: no count is lost, and what is new stays as it is."""

from pathlib import Path

import numpy as np

from driftgate.monitoring.book.drift_tables import encode_evidence
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey, PaneShape
from driftgate.monitoring.windows.pane_retention import HOUR_US, hours_until_us

SHAPE = PaneShape(features=2, cells=7, paired=2)
HOURS = 3
NEW_US = 2 * HOUR_US
RNG = np.random.default_rng(4)


def pane(rows: int) -> Pane:
    """A window with some counts."""
    made = Pane.empty(SHAPE)
    made.rows = rows
    made.counts[:] = RNG.integers(0, 1000, SHAPE.cells)
    made.pairs[:] = rows
    made.lows[:], made.highs[:] = rows, rows + 1
    made.quality.count_codes(np.full(rows, 200))
    return made


def book(path: Path) -> MonitorDb:
    """Three hours of minutes of two arms, the evidence after each, and a window that is still open."""
    db = MonitorDb(path)
    keys = [
        PaneKey("m", 1, arm, ALL_ROWS, "profile", minute * PANE_US)
        for minute in range(7, HOURS * 60)
        for arm in ("stable", "canary")
    ]
    sealed = {key: pane(1 + number % 9) for number, key in enumerate(keys)}
    evidence = {key: encode_evidence(np.full(2, float(number + 1))) for number, key in enumerate(keys)}
    opened = {PaneKey("m", 1, "odd", ALL_ROWS, "profile", 60 * PANE_US): pane(3)}
    db.commit(Checkpoint({}, windows=WindowChanges(0, sealed, opened, evidence=evidence)))
    return db


def sums(db: MonitorDb, arm: str) -> list[object]:
    """What must not change by merging: all counts of an arm, added up."""
    whole = Pane.empty(SHAPE)
    for one in db.panes("m", 0, 2**62, lambda key: key.arm == arm):
        whole.merge(one.pane)
    return [
        whole.rows,
        whole.counts.tolist(),
        whole.pairs.tolist(),
        whole.lows.tolist(),
        whole.quality.requests,
    ]


def test_hours_have_the_counts_of_their_windows(tmp_path: Path) -> None:
    """Two hours are merged, the third is not; the open window, and who merges in between, change nothing."""
    db = book(tmp_path / "monitor.db")
    before = [sums(db, arm) for arm in ("stable", "canary", "odd")]
    steps = 0
    while db.merge_next_hour(NEW_US + 59 * PANE_US):
        steps += 1
    assert steps == 4
    assert [sums(db, arm) for arm in ("stable", "canary", "odd")] == before
    starts = [one.key.start_us for one in db.panes("m", 0, 2**62, lambda key: key.arm == "stable")]
    assert starts[:3] == [0, HOUR_US, NEW_US]
    assert len(starts) == 2 + 60
    assert hours_until_us(db._db) == NEW_US
    assert not db.merge_next_hour(NEW_US)
    (opened,) = db.open_panes()
    assert opened[0].arm == "odd"


def test_the_last_evidence_of_an_hour_is_kept(tmp_path: Path) -> None:
    """It stands at the hour's beginning, as the hour's counts do."""
    db = book(tmp_path / "monitor.db")
    last = [one for one in db.evidence("m", (0, HOUR_US)) if one.key.arm == "stable"][-1]
    while db.merge_next_hour(NEW_US):
        pass
    (kept,) = [one for one in db.evidence("m", (0, HOUR_US)) if one.key.arm == "stable"]
    assert kept.key.start_us == 0
    assert kept.log10.tolist() == last.log10.tolist()
