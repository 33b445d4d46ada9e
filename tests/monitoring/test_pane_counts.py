"""The counts that many windows are shown by are those of the whole windows."""

from pathlib import Path

import numpy as np

from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.windows.pane import PANE_US, Pane, PaneKey, PaneShape


def pane_of(rows: int) -> Pane:
    """A window of two features whose counts, pairs and errors are all different."""
    pane = Pane.empty(PaneShape(features=2, cells=9, paired=2))
    pane.rows = rows
    pane.counts[:] = np.arange(9) * rows
    pane.pairs[:] = rows
    pane.quality.count_codes(np.array([200, 422, 500]))
    return pane


def test_counts_alone_are_those_of_the_windows_as_they_are(tmp_path: Path) -> None:
    """Complete windows and open ones, the newest state of each; other segments are left out."""
    db = MonitorDb(tmp_path / "monitor.db")
    first = PaneKey("m", 1, "stable", "", "p", 0)
    second, segment = first._replace(start_us=PANE_US), first._replace(segment="city=Lyon")
    db.commit(Checkpoint({}, windows=WindowChanges(0, {first: pane_of(300)}, {second: pane_of(1)})))
    db.show(WindowChanges(0, open={second: pane_of(70_000), segment: pane_of(5)}))
    whole = {one.key: one.pane for one in db.panes("m", 0, 2 * PANE_US, lambda key: not key.segment)}
    found = dict(db.pane_counts("m", 0, 2 * PANE_US))
    assert list(found) == [first, second]
    for key, counted in found.items():
        assert (counted.counts == whole[key].counts).all()
        assert (counted.rows, counted.quality.failed) == (whole[key].rows, 1)
    assert db.last_panes() == {("m", 1, "stable"): (PANE_US, 70_000)}
    db.close()


def test_a_database_without_windows_has_none(tmp_path: Path) -> None:
    """A new `monitor.db` answers nothing instead of failing."""
    db = MonitorDb(tmp_path / "monitor.db")
    assert db.pane_counts("m", 0, 2**62) == []
    assert db.last_panes() == {}
    db.close()
