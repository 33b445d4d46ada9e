"""Columns that are constant, missing, infinite or new: evidence is always defined, and never an exception."""

import numpy as np
import pytest

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.e_detector import EDetector, Evidence, named
from driftgate.monitoring.log.columns import Texts, texts_of_list
from driftgate.monitoring.reference.band import reference_band
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import Pane
from driftgate.monitoring.windows.pane_fold import PaneFold

Values = np.ndarray | Texts
NAMES = ("constant", "missing", "binary", "city", "amount", "tied")
TARGET = 40_320.0


def columns(rng: np.random.Generator, rows: int, **changed: Values) -> list[Observed]:
    """Six columns of a model, some of them changed."""
    values: dict[str, Values] = {
        "constant": np.full(rows, 3.0),
        "missing": np.full(rows, np.nan),
        "binary": rng.integers(0, 2, rows).astype(np.float64),
        "city": texts_of_list(rng.choice(["Lyon", "Bonn"], rows).tolist()),
        "amount": rng.lognormal(0.0, 2.0, rows),
        "tied": np.where(rng.random(rows) < 0.9, 0.0, rng.normal(size=rows)),
    }
    return [Observed(name, "input", one) for name, one in (values | changed).items()]


class Watcher:
    """A profile of 5,000 rows and a detector of its windows."""

    def __init__(self, rng: np.random.Generator, reference_rows: int = 5_000) -> None:
        sample = ReferenceSample()
        if reference_rows:
            sample.update(columns(rng, reference_rows), row_priorities(0, reference_rows))
        self.profile: ReferenceProfile = sample.get("training")
        self.bets: Bets = bets_against(reference_band(self.profile.counts(), self.profile.offsets()))
        self.detector = EDetector(self.profile.offsets(), self.bets.open)
        self._coder, self._fold = CellCoder(self.profile), PaneFold(self.profile)

    def see(self, window: list[Observed], rows: int) -> Evidence:
        """Fold and judge one window."""
        pane = Pane.empty(self._fold.shape)
        self._fold.update(pane, self._coder.code(window, rows))
        seen = np.add.reduceat(pane.counts, self.profile.offsets()[:-1])
        self.detector.update(self.bets, pane.counts, seen, 0)
        return self.detector.evidence()

    def names(self, evidence: Evidence) -> list[str]:
        """The features that are named."""
        return [self.profile.features[place].name for place in named(evidence, TARGET)]


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_awkward_columns_without_drift_are_quiet(rows: int) -> None:
    """Constant, never there, two values, heavy ties, long tails: 300 windows of 1 to 100 rows, no alarm."""
    rng = np.random.default_rng(1)
    watcher = Watcher(rng)
    for _ in range(300):
        evidence = watcher.see(columns(rng, rows), rows)
        assert evidence.model < TARGET
        assert np.isfinite(evidence.model)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", np.full(100, 4.0)),
        ("constant", np.full(100, np.nan)),
        ("missing", np.full(100, 1.0)),
        ("binary", np.ones(100)),
        ("city", texts_of_list(["Turin"] * 100)),
        ("city", texts_of_list([""] * 100)),
        ("city", texts_of_list([f"city {number}" for number in range(100)])),
        ("city", np.ones(100)),
        ("amount", np.full(100, np.inf)),
        ("amount", np.full(100, 1e308)),
        ("amount", np.full(100, -1e308)),
        ("amount", texts_of_list(["much"] * 100)),
        ("tied", np.full(100, 0.1)),
    ],
)
def test_a_column_that_turns_into_something_else_is_found_at_once(name: str, values: Values) -> None:
    """Within three windows of 100 rows, and it alone is named; evidence stays a number for ever after."""
    rng = np.random.default_rng(2)
    watcher = Watcher(rng)
    for _ in range(50):
        watcher.see(columns(rng, 100), 100)
    for _ in range(3):
        evidence = watcher.see(columns(rng, 100, **{name: values}), 100)
    assert watcher.names(evidence) == [name]
    for _ in range(300):
        evidence = watcher.see(columns(rng, 100, **{name: values}), 100)
    assert np.isfinite(evidence.model)
    assert watcher.names(evidence) == [name]


def test_an_empty_window_and_a_missing_column_are_no_evidence() -> None:
    """No rows: nothing changes. A column that is not there: the others are judged."""
    rng = np.random.default_rng(3)
    watcher = Watcher(rng)
    before = watcher.see(columns(rng, 100), 100)
    assert watcher.see(columns(rng, 0), 0).model == before.model
    after = watcher.see(columns(rng, 100)[:-1], 100)
    place = [one.name for one in watcher.profile.features].index("tied")
    assert after.features[place] == before.features[place]
    assert np.isfinite(after.model)


@pytest.mark.parametrize("reference_rows", [1, 5])
def test_a_reference_of_hardly_any_rows_says_nothing_wrong(reference_rows: int) -> None:
    """One row allows nearly any share: no alarm, whatever normal windows come."""
    rng = np.random.default_rng(4)
    watcher = Watcher(rng, reference_rows)
    for _ in range(100):
        evidence = watcher.see(columns(rng, 20), 20)
        assert np.isnan(evidence.model) or evidence.model < TARGET
