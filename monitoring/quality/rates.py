"""Data quality as rates: how many rows of a window were wrong in which way, and evidence that more are. Pure.

Every rate has a highest share that is in order: what the reference had and its sampling error, or one in a
thousand where there is no reference; half for those that say that most is wrong. Evidence is gathered for
each, from the first window on.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from driftgate.monitoring.drift.e_detector import DetectorState
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.quality.bernoulli import UNEXPECTED_SHARE, highest_rates, rate_bets, rate_detector
from driftgate.monitoring.reference.band import reference_band
from driftgate.monitoring.reference.profile import FeatureProfile, ReferenceProfile
from driftgate.monitoring.windows.cells import CategoricalCells
from driftgate.monitoring.windows.pane import Pane
from driftgate.monitoring.windows.pane_quality import IN_ORDER, RepeatSample

Reason = Literal[
    "null", "type_error", "infinite", "out_of_range", "new_value", "constant",
    "refused", "mostly_refused", "failed", "repeated", "stale_feature", "mostly_stale", "schema",
    "no_traffic",
]  # fmt: skip
"""What is wrong: with a feature's value ("constant": all rows of the window are in one cell), with a request
("refused": 4xx, "failed": 5xx), a row that is a repeat, a stored feature that was stale, missing or too late,
a row whose columns are not the reference's, or an arm that should have traffic and has none (of windows, and
not among the rates of a profile: see SilenceWatch). "mostly_": the same of more than half of them."""

LEAST_ROWS = 30
"""Fewer rows in one cell are no surprise; of a feature that nearly always is there, many more are none."""
MOST = 0.5
"""Of requests, or of a feature's values: one sloppy client is less, a broken one of all is more."""
_OF_ROWS: tuple[Reason, ...] = (
    "refused", "mostly_refused", "failed", "repeated", "schema", "stale_feature", "mostly_stale",
)  # fmt: skip
_OF_STORED: tuple[Reason, ...] = ("stale_feature", "mostly_stale")


class QualityRate(NamedTuple):
    """One rate: what is wrong, of which feature (empty: of requests or whole rows)."""

    reason: Reason
    feature: str


class QualityCounts(NamedTuple):
    """How many were wrong, and of how many: int64[rates]."""

    hits: Array
    rows: Array


class QualityRates:
    """The rates that a profile's windows have, in a fixed order."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self._profile = profile
        self._starts = profile.offsets()
        self._cells = [_cells_of(feature) for feature in profile.features]
        self._least_rows = [_least_rows(feature) for feature in profile.features]
        named = [
            QualityRate(reason, feature.name)
            for feature, cells in zip(profile.features, self._cells, strict=True)
            for reason in (*cells, "constant")
        ]
        stale = [QualityRate(reason, name) for name in profile.stored for reason in _OF_STORED]
        self.rates = (*named, *(QualityRate(reason, "") for reason in _OF_ROWS), *stale)

    def count(self, pane: Pane) -> QualityCounts:
        """Return the counts of a window."""
        hits, rows = [], []
        for place, cells in enumerate(self._cells):
            counts = pane.counts[self._starts[place] : self._starts[place + 1]]
            n = int(counts.sum())
            hits += [int(counts[list(numbers)].sum()) for numbers in cells.values()]
            rows += [n] * len(cells)
            is_judged = n >= self._least_rows[place]
            hits.append(int(is_judged and counts.max() == n))
            rows.append(int(is_judged))
        stale = [one for one in _stale(pane, self._profile.stored) for _ in _OF_STORED]
        for hit, row in (*_of_rows(pane, self._profile.rows), *stale):
            hits.append(hit)
            rows.append(row)
        return QualityCounts(np.array(hits, np.int64), np.array(rows, np.int64))

    def highest(self) -> Array:
        """Return the highest share of each rate that is in order: float64[rates]."""
        hits, rows = [], []
        for place, (feature, cells) in enumerate(zip(self._profile.features, self._cells, strict=True)):
            counts = np.array(self._profile.features[place].counts, np.int64)
            hits += [int(counts[list(numbers)].sum()) for numbers in cells.values()]
            rows += [feature.rows] * len(cells)
            hits.append(0)
            rows.append(0)
        for rate in self.rates[len(hits) :]:
            hit, row = _usual(self._profile, rate)
            hits.append(hit)
            rows.append(row)
        highest = highest_rates(np.array(hits, np.int64), np.array(rows, np.int64))
        for at, rate in enumerate(self.rates):
            highest[at] = self._at_least(rate, float(highest[at]))
        return highest

    def _at_least(self, rate: QualityRate, highest: float) -> float:
        if rate.reason == "repeated":
            return self._highest_of_repeats()
        if rate.reason == "stale_feature":
            return max(UNEXPECTED_SHARE, highest)
        return max(MOST, highest) if rate.reason in ("mostly_refused", "mostly_stale") else highest

    def _highest_of_repeats(self) -> float:
        """Return the share of repeats that is in order; any share where no reference says which."""
        rows = self._profile.rows
        return float(highest_rates(np.array([self._profile.repeats]), np.array([rows]))[0]) if rows else 1.0


class QualityWatch:
    """Evidence about the rates of one stream of windows: a version and arm under one profile."""

    def __init__(self, rates: QualityRates) -> None:
        self._rates = rates
        self.highest = rates.highest()
        """The highest share of each rate that is in order."""
        self._bets = rate_bets(self.highest)
        self._detector = rate_detector(self._bets)

    def update(self, pane: Pane, window_us: int) -> None:
        """Take in a window that is sealed."""
        counts = self._rates.count(pane)
        self._detector.update(self._bets, np.minimum(*counts), counts.rows, window_us)

    def evidence(self) -> Array:
        """Return float64[rates]: how much speaks for more than the highest share; NaN where nothing can."""
        return self._detector.evidence().features

    def reset(self) -> None:
        """Forget all evidence."""
        self._detector.reset()

    @property
    def state(self) -> DetectorState:
        """What the watch remembers."""
        return self._detector.state

    def restore(self, state: DetectorState) -> None:
        """Go on from a state; raise ValueError if it is of other rates."""
        self._detector.restore(state)


def _cells_of(feature: FeatureProfile) -> dict[Reason, tuple[int, ...]]:
    """Return which cells of a feature are wrong in which way; without reference rows no value is unknown."""
    cells = feature.cells
    found: dict[Reason, tuple[int, ...]] = {"null": (cells.NULL,), "type_error": (cells.mistyped,)}
    if isinstance(cells, CategoricalCells):
        return found | ({"new_value": (cells.new,)} if feature.rows else {})
    found["infinite"] = (cells.infinite,)
    return found | ({"out_of_range": (cells.BELOW, cells.above)} if feature.rows else {})


def _least_rows(feature: FeatureProfile) -> float:
    """Return from how many rows on one in a thousand windows may be in one cell, if all is as it was.

    n rows are with probability p^(n - 1) at most, p the highest share of the largest cell. Infinity: any
    number may, as it is of a constant feature, and of one without a reference.
    """
    if not feature.rows:
        return np.inf
    highest = reference_band(np.array(feature.counts), np.array([0, len(feature.counts)])).high.max()
    needed = 1 + np.log(UNEXPECTED_SHARE) / np.log(highest) if highest < 1 else np.inf
    return max(float(LEAST_ROWS), float(needed))


def _usual(profile: ReferenceProfile, rate: QualityRate) -> tuple[int, int]:
    """Return hits and rows of the reference's traffic, for what it says of stored features; else none."""
    if rate.reason not in _OF_STORED or not profile.stale:
        return 0, 0
    if rate.feature:
        return profile.stale[profile.stored.index(rate.feature)], profile.stale_of
    return sum(profile.stale), profile.stale_of * len(profile.stored)


def _of_rows(pane: Pane, reference_rows: int) -> list[tuple[int, int]]:
    """Return hits and rows. Of more rows than the reference has, more may be repeats than there."""
    quality = pane.quality
    repeats = quality.repeats if pane.rows <= reference_rows else RepeatSample()
    stale = _stale(pane, quality.statuses)
    all_stale = sum(hits for hits, _ in stale), sum(rows for _, rows in stale)
    return [
        (quality.refused, quality.requests),
        (quality.refused, quality.requests),
        (quality.failed, quality.requests),
        (repeats.rows - repeats.distinct, repeats.rows),
        (quality.mismatched, pane.rows),
        all_stale,
        all_stale,
    ]


def _stale(pane: Pane, names: Iterable[str]) -> list[tuple[int, int]]:
    """Return for each stored feature how often it was not as it should be, and how often it was used."""
    found = []
    for name in names:
        counts = pane.quality.statuses.get(name, Counter())
        used = sum(counts.values())
        found.append((used - sum(counts[code] for code in IN_ORDER), used))
    return found
