"""A version's arms and segments: each is compared with what is like it, and with nothing else."""

import numpy as np

from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.findings import drift_findings
from driftgate.monitoring.drift.learnt_hours import learnt_hours
from driftgate.monitoring.drift.plan import DriftPlan
from driftgate.monitoring.drift.states import encode_drift, restore_drift
from driftgate.monitoring.drift.version_drift import Learn, StreamKey, VersionDrift
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US, Pane
from driftgate.monitoring.windows.pane_fold import PaneFold

TARGET = 10_000.0
ALL, OLD = StreamKey("stable", ""), StreamKey("stable", "age=old")
ROWS = 500


def ages(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Ages around 40."""
    return rng.normal(40, 10, rows).astype(np.float32)


class Traffic:
    """Windows of all rows and of the segment of those above 45, against a reference of all rows."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)
        sample = ReferenceSample()
        sample.update([Observed("age", "input", ages(self._rng, 20_000))], row_priorities(0, 20_000))
        self.profile = sample.get("training")
        self._coder, self._fold = CellCoder(self.profile), PaneFold(self.profile)

    def window(self, older: float = 0.0) -> dict[StreamKey, Pane]:
        """One window; those above 45 are so much older."""
        values = ages(self._rng, ROWS)
        upper = values[values > 45] + np.float32(older)
        return {ALL: self._pane(values), OLD: self._pane(upper)}

    def _pane(self, values: np.ndarray) -> Pane:
        pane = Pane.empty(self._fold.shape)
        self._fold.update(pane, self._coder.code([Observed("age", "input", values)], len(values)))
        return pane

    def drift(self, learn: Learn, notifies: bool = False) -> VersionDrift:
        """A version that is judged so."""
        return VersionDrift(self.profile, DriftPlan(notifies=notifies), learn)


def watched(drift: VersionDrift, windows: list[dict[StreamKey, Pane]], first: int = 0) -> VersionDrift:
    """The drift after some windows."""
    for number, panes in enumerate(windows, first):
        drift.take(panes, number * PANE_US)
        drift.look(TARGET, number * PANE_US)
    return drift


def test_a_segment_without_hours_is_not_compared_with_all_rows() -> None:
    """It is unlike them by design, and takes no part; nor does it after a restart."""
    traffic = Traffic()
    drift = watched(traffic.drift(lambda segment: None), [traffic.window() for _ in range(30)])
    assert drift.alarm.phase is Phase.QUIET
    assert set(drift.streams) == {ALL}
    with_segment = traffic.drift(lambda segment: None)
    with_segment.stream(OLD)
    again = traffic.drift(lambda segment: None)
    restore_drift(again, encode_drift(with_segment))
    assert OLD not in again.streams


def test_a_segment_is_judged_by_hours_of_its_own() -> None:
    """By these nothing is found in it, until it changes; then it is named, not all rows, and said."""
    traffic = Traffic()
    seen = [(number * PANE_US, traffic.window()) for number in range(200)]
    hours = {
        key.segment: learnt_hours(traffic.profile, ((at_us, panes[key]) for at_us, panes in seen), 0)
        for key in (ALL, OLD)
    }
    drift, named = traffic.drift(hours.get, notifies=True), []
    for first, older in ((0, 0.0), (20, 10.0)):
        watched(drift, [traffic.window(older) for _ in range(20)], first)
        named.append({one.stream for one in drift.features(TARGET).named})
    assert named == [set(), {OLD}]
    (finding,) = drift_findings("m", 1, drift, TARGET)
    assert (finding.arm, finding.segment) == OLD
    assert "the distribution of age in age=old is not" in finding.text
