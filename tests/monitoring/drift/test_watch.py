"""A stream is reported on: which feature drifts, which cell moved, since when, by how much; pairs by name."""

import numpy as np
import pytest

from driftgate.monitoring.drift.dependence import pair_offsets, pairs_of
from driftgate.monitoring.drift.e_detector import rows_of
from driftgate.monitoring.drift.effect_sizes import EffectSizes
from driftgate.monitoring.drift.report import DriftReport
from driftgate.monitoring.drift.seasons import HOUR_US, SeasonalReference
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.drift.watch import DriftWatch, Seasons, WatchSettings
from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US, Pane
from driftgate.monitoring.windows.pane_fold import PaneFold

from harness.seasons import MONDAY_US

TARGET = 40_320.0
ROWS = 400


def columns(
    rng: np.random.Generator, rows: int, age: float = 0.0, correlation: float = 0.0
) -> list[Observed]:
    """Three numbers and a city; `age` is a shift of the first, `correlation` that of the others."""
    one, other = rng.normal(size=(2, rows))
    return [
        Observed("age", "input", rng.normal(age, 1.0, rows)),
        Observed("income", "input", one),
        Observed("debt", "input", correlation * one + np.sqrt(1 - correlation**2) * other),
        Observed("city", "input", texts_of_list(rng.choice(["Lyon", "Bonn"], rows).tolist())),
    ]


class Stream:
    """A watch on a profile of 20,000 rows, and windows folded for it."""

    def __init__(self, rng: np.random.Generator, settings: WatchSettings | None = None) -> None:
        sample = ReferenceSample()
        sample.update(columns(rng, 20_000), row_priorities(0, 20_000))
        self.profile = sample.get("training")
        self.watch = DriftWatch(self.profile, settings)
        self.rng = rng
        self.windows = 0

    def see(self, windows: int, **drift: float) -> DriftReport:
        """Fold and take in windows, and report."""
        for _ in range(windows):
            pane = self.pane(**drift)
            self.watch.update(pane, self.windows * PANE_US)
            self.windows += 1
        return self.watch.report(TARGET, pane)

    def pane(self, **drift: float) -> Pane:
        """Fold one window."""
        fold = PaneFold(self.profile)
        pane = Pane.empty(fold.shape)
        fold.update(pane, CellCoder(self.profile).code(columns(self.rng, ROWS, **drift), ROWS))
        return pane


def test_a_shift_is_reported_with_cell_onset_and_size() -> None:
    """Steady windows name nobody; after a shift of one feature it is all that is named."""
    stream = Stream(np.random.default_rng(1))
    steady = stream.see(30)
    assert (steady.windows, steady.named, steady.pairs) == (30, (), ())
    drifted = stream.see(10, age=1.0)
    assert drifted.named == ("age",)
    assert drifted.log10_evidence is not None
    assert drifted.log10_evidence > np.log10(TARGET)
    age, income = drifted.features[0], drifted.features[1]
    assert abs(age.onset_us - 30 * PANE_US) <= PANE_US
    assert age.rises != (age.cell in stream.profile.features[0].cells.names[:8])
    assert isinstance(age.effect, EffectSizes)
    assert isinstance(income.effect, EffectSizes)
    assert (age.effect.magnitude, income.effect.magnitude) == ("large", "small")
    assert age.effect.w1_sigma == pytest.approx(1.0, abs=0.25)


def test_a_new_correlation_names_the_pair_and_no_feature() -> None:
    """Marginals stay; two features are found to go together more often."""
    stream = Stream(np.random.default_rng(2))
    stream.see(30)
    report = stream.see(15, correlation=0.5)
    assert report.named == ()
    (pair,) = report.pairs
    assert {pair.first, pair.second} == {"income", "debt"}
    assert pair.together_more
    assert abs(pair.onset_us - 30 * PANE_US) <= 3 * PANE_US


def test_what_the_reference_does_not_know_is_said() -> None:
    """Training data have no latency: its evidence is unknown, its effect size not enough data."""
    latency = Stream(np.random.default_rng(3)).see(3).features[-1]
    assert latency.log10_evidence is None
    assert isinstance(latency.effect, NotEnoughData)


def test_a_watch_goes_on_from_its_kept_state() -> None:
    """Evidence of features and pairs is the same to the last bit."""
    stream = Stream(np.random.default_rng(4))
    stream.see(5)
    again = DriftWatch(stream.profile)
    again.restore(*stream.watch.states())
    assert again.states() == stream.watch.states()
    assert again.evidence().model == stream.watch.evidence().model
    again.reset()
    assert again.evidence().model == 0


def test_windows_as_one_observation_say_less() -> None:
    """In block mode the same drift needs more windows, and is still found."""
    stream = Stream(np.random.default_rng(5), WatchSettings(one_observation=True))
    assert stream.see(100).named == ()
    assert stream.see(10, age=1.0).named == ()
    assert stream.see(60, age=1.0).named == ("age",)


def test_a_tolerance_lets_small_changes_pass() -> None:
    """Practical drift only: a twentieth of sigma is nothing, one sigma is."""
    stream = Stream(np.random.default_rng(6), WatchSettings(tolerance=0.02))
    assert stream.see(100, age=0.05).named == ()
    assert stream.see(10, age=1.0).named == ("age",)


def test_an_armed_season_judges_each_hour_by_itself() -> None:
    """A shift that comes every day at the same hour is no drift; at another hour it is, and is named."""
    stream = Stream(np.random.default_rng(7))
    seasons, by_hour = learnt(stream), {7: 0.0, 8: 1.0, 9: 0.0, 10: 0.0}
    watch = DriftWatch(stream.profile, seasons=seasons)
    for hour, age in by_hour.items():
        for minute in range(60):
            watch.update(stream.pane(age=age), MONDAY_US + hour * HOUR_US + minute * PANE_US)
    steady = watch.report(TARGET, stream.pane())
    assert (steady.named, steady.pairs) == ((), ())
    for minute in range(5):
        watch.update(stream.pane(age=1.0), MONDAY_US + 10 * HOUR_US + minute * PANE_US)
    assert watch.report(TARGET, stream.pane()).named == ("age",)


def learnt(stream: Stream) -> Seasons:
    """Hours 6 to 11 of a week in which one feature is shifted at 8."""
    profile = stream.profile
    cells = SeasonalReference(profile.offsets())
    pairs = SeasonalReference(pair_offsets(len(profile.pairs.features)))
    for hour in range(6, 12):
        for _ in range(60):
            pane = stream.pane(age=1.0 if hour == 8 else 0.0)
            cells.update(hour, pane.counts, rows_of(pane.counts, profile.offsets()))
            pairs.update(hour, pairs_of(pane.pairs), np.full(len(pairs.rows[0]), pane.rows))
    return Seasons(cells, pairs)


def test_a_profile_without_features_is_refused() -> None:
    """There is nothing to watch, and it is said."""
    with pytest.raises(ValueError, match="without features"):
        DriftWatch(ReferenceProfile(format=1, source="none", rows=0, features=()))
