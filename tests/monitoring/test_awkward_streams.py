"""Streams like their reference raise nothing, however awkward; what changes in them is found and named."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from driftgate.monitoring.drift.plan import DriftPlan
from driftgate.monitoring.drift.version_drift import StreamKey, VersionDrift
from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.quality.rates import QualityRates, QualityWatch
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US, Pane
from driftgate.monitoring.windows.pane_fold import PaneFold

TARGET = 10_000.0
STABLE, CANARY = StreamKey("stable", ""), StreamKey("canary", "")
Rows = Callable[[np.random.Generator, int], list[Observed]]


def falling(values: int, power: float) -> np.ndarray:
    """Shares of values that fall with their rank."""
    shares = 1 / np.arange(1.0, values + 1) ** power
    return np.asarray(shares / shares.sum())


def cities(values: int, power: float, first: int = 0) -> Rows:
    """A city of so many, the first ones most often, and a number."""
    names, shares = np.array([f"c{number + first}" for number in range(values)]), falling(values, power)

    def rows(rng: np.random.Generator, count: int) -> list[Observed]:
        texts = texts_of_list(rng.choice(names, count, p=shares).tolist())
        return [Observed("city", "input", texts), number(rng, count)]

    return rows


def notes(first: int = 0) -> Rows:
    """A text of eight words of 20,000, and a number."""
    words, shares = np.array([f"w{number + first}" for number in range(20_000)]), falling(20_000, 1.0)

    def rows(rng: np.random.Generator, count: int) -> list[Observed]:
        texts = [" ".join(each) for each in rng.choice(words, (count, 8), p=shares)]
        return [Observed("note", "input", texts_of_list(texts)), number(rng, count)]

    return rows


def ties(share: float) -> Rows:
    """Of a number such a share is 0, another has two values, one is infinite now and then."""

    def rows(rng: np.random.Generator, count: int) -> list[Observed]:
        tied = np.where(rng.random(count) < share, 0, rng.normal(size=count))
        binary = rng.integers(0, 2, count)
        infinite = np.where(rng.random(count) < 0.01, np.inf, rng.normal(size=count))
        named = {"tied": tied, "binary": binary, "infinite": infinite}
        return [Observed(name, "input", one.astype(np.float32)) for name, one in named.items()]

    return rows


def number(rng: np.random.Generator, count: int, mean: float = 0.0) -> Observed:
    """A number."""
    return Observed("x", "input", rng.normal(mean, size=count).astype(np.float32))


def numbers(mean: float, rng: np.random.Generator, count: int) -> list[Observed]:
    """A number alone."""
    return [number(rng, count, mean)]


class Watched:
    """Drift and data quality of one stream, against a reference of so many rows."""

    def __init__(self, rows: Rows, reference_rows: int) -> None:
        self._rng = np.random.default_rng(reference_rows)
        sample = ReferenceSample()
        sample.update(rows(self._rng, reference_rows), row_priorities(0, reference_rows))
        profile = sample.get("training")
        self._fold, self._coder, self._at_us = PaneFold(profile), CellCoder(profile), 0
        self.drift = VersionDrift(profile, DriftPlan(), lambda segment: None)
        self._quality = QualityWatch(QualityRates(profile))

    def see(self, rows: Rows, count: int, canary: Rows | None = None) -> None:
        """Take in one window, and one of a canary with a tenth of the rows."""
        pane = self._window(rows, count)
        arms = {STABLE: pane} | ({CANARY: self._window(canary, count // 10)} if canary is not None else {})
        self._at_us += PANE_US
        self.drift.take(arms, self._at_us)
        self.drift.look(TARGET, self._at_us)
        self._quality.update(pane, self._at_us)

    def _window(self, rows: Rows, count: int) -> Pane:
        coded, pane = self._coder.code(rows(self._rng, count), count), Pane.empty(self._fold.shape)
        self._fold.update(pane, coded)
        pane.quality.repeats.update(coded.row_hashes)
        pane.quality.count_codes(np.full(count, 200))
        return pane

    @property
    def named(self) -> set[str]:
        """What is named of features and pairs, and "quality" where evidence of bad data is at the target."""
        bad = {"quality"} if np.nanmean(self._quality.evidence()) >= TARGET else set()
        return {*self.drift.alarm.features, *self.drift.pair_alarm.features, *bad}


@pytest.mark.parametrize("reference_rows", [1_000, 10_000])
@pytest.mark.parametrize(
    "rows",
    [
        cities(3_000, 1.0),
        cities(3_000, 1.3),
        cities(150, 0.0),
        cities(500, 0.0),
        notes(),
        ties(0.99),
        ties(0.999),
    ],
    ids=["long tail", "longer tail", "150 alike", "500 alike", "texts", "ties", "heavy ties"],
)
def test_what_a_sample_has_not_seen_is_no_drift(rows: Rows, reference_rows: int) -> None:
    """Values and words that a reference lacks come in rows like it too: as many as it had single ones."""
    watched = Watched(rows, reference_rows)
    for window in range(40):
        watched.see(rows, (30, 300, 3_000)[window % 3])
        assert watched.named == set()


@pytest.mark.parametrize("seed", range(3))
def test_windows_of_any_size_are_judged_alike(seed: int) -> None:
    """One row, 10,000 rows and 200,000 rows against 500: nothing is named."""
    rows = ties(0.5 + seed / 10)
    watched = Watched(rows, 500 + seed)
    for count in (1, 10_000, 1, 200_000, 2, 10_000):
        watched.see(rows, count)
        assert watched.named == set()


@pytest.mark.parametrize(
    ("rows", "changed", "name"),
    [
        (cities(3_000, 1.3), cities(3_000, 1.3, first=20_000), "city"),
        (cities(60, 0.5), cities(1_000_000, 0.0, first=100), "city"),
        (notes(), notes(first=50_000), "note.unseen"),
        (ties(0.99), ties(0.9), "tied"),
    ],
    ids=["other values", "a value a row", "other words", "fewer ties"],
)
def test_what_changes_is_found_and_named(rows: Rows, changed: Rows, name: str) -> None:
    """New values, a million of them, another vocabulary, or ties that dissolve: within ten windows."""
    watched = Watched(rows, 10_000)
    for _ in range(10):
        watched.see(rows, 200)
    assert watched.named == set()
    for _ in range(10):
        watched.see(changed, 200)
    assert name in watched.named


def test_drift_in_one_arm_alone_is_that_arms() -> None:
    """A tenth of the rows goes to another arm, and only there ties dissolve: it is named with the feature."""
    rows, changed = ties(0.9), ties(0.5)
    watched = Watched(rows, 10_000)
    for _ in range(20):
        watched.see(rows, 1_000, canary=rows)
        assert watched.named == set()
    for _ in range(10):
        watched.see(rows, 1_000, canary=changed)
    (found,) = watched.drift.features(TARGET).named
    assert (found.stream, watched.drift.feature_name(found.place)) == (CANARY, "tied")


def test_very_slow_drift_is_found_though_no_window_shows_it() -> None:
    """A number that grows by a thousandth of a standard deviation a window is found by a fifth of one."""
    watched = Watched(partial(numbers, 0.0), 50_000)
    found = 0
    while not watched.named and found < 200:
        found += 1
        watched.see(partial(numbers, found / 1000), 500)
    assert watched.named == {"x"}
    assert found > 20
