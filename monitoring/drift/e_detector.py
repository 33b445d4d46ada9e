"""The e-Shiryaev-Roberts detector of drift, on counts of cells. No I/O, no clock.

The rule kept here: while shares stay in their bands, evidence grows by no more than 1 a window on average,
however features depend on each other. So the expected number of windows before evidence reaches a target is
at least the target (Shin, Ramdas and Rinaldo, "E-detectors", arXiv 2203.03532, theorem 2.4).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from driftgate.monitoring.drift.bets import (
    BETS_PER_CELL,
    MAX_LOG,
    STAKES,
    Bets,
    log_growth,
    log_growth_of_window,
)
from driftgate.monitoring.log.record import Array

_MAX_CAPITAL = float(np.exp(MAX_LOG))


@dataclass(frozen=True)
class Evidence:
    """Evidence of drift after some windows. NaN: nothing can be said, for want of reference rows."""

    features: Array
    model: float


@dataclass(frozen=True)
class MovedCell:
    """The cell of a feature that moved most: its place in the feature, which way, and since which window."""

    cell: int
    rises: bool
    onset_us: int


@dataclass(frozen=True)
class DetectorState:
    """All that a detector remembers; arrays [cells, BETS_PER_CELL], float64 but for `onset_us` int64.

    They are in Fortran order, like those of `Bets`, and so are updated in long runs.
    """

    windows: int
    capital: Array
    log_cusum: Array
    onset_us: Array


class EDetector:
    """Evidence of one stream of windows. Detectors do not merge: the counts they are fed do."""

    def __init__(self, offsets: Array, open_bets: Array, one_observation: bool = False) -> None:
        """Begin without evidence.

        `offsets` int[features + 1] as in `reference_band`; `open_bets` bool[cells, bets]: where any reference
        that will be used can be bet against. `one_observation`: a window counts as one observation.
        """
        self._starts = np.asarray(offsets[:-1], np.int64)
        self._sizes = np.diff(offsets)
        if len(self._sizes) == 0 or (self._sizes < 1).any() or offsets[-1] != len(open_bets):
            raise ValueError("every feature needs a cell, and the offsets must end at the number of cells")
        self._growth = log_growth_of_window if one_observation else log_growth
        bets = np.add.reduceat(open_bets.sum(axis=1), self._starts)
        self._weights = np.asfortranarray(open_bets / np.repeat(np.maximum(bets, 1), self._sizes)[:, None])
        self._silent = bets == 0
        self.reset()

    def reset(self) -> None:
        """Forget all evidence, as after an acknowledgement or with a new reference."""
        shape = self._weights.shape
        capital, log_cusum, onset_us = (np.zeros(shape, kind, "F") for kind in (float, float, np.int64))
        self._state = DetectorState(0, capital, log_cusum, onset_us)

    @property
    def state(self) -> DetectorState:
        """What the detector remembers; its arrays change with the next update."""
        return self._state

    def restore(self, state: DetectorState) -> None:
        """Go on from a state. Raises ValueError if it is of other cells."""
        if state.capital.shape != self._weights.shape:
            raise ValueError(f"state of {len(state.capital)} cells for a detector of {len(self._weights)}")
        copies = (part.copy("F") for part in (state.capital, state.log_cusum, state.onset_us))
        self._state = DetectorState(state.windows, *copies)

    def update(self, bets: Bets, counts: Array, rows: Array, window_us: int) -> None:
        """Take in a window that began at `window_us`: `counts` int[cells], `rows` int[features].

        Features without rows keep their evidence, so an empty window changes nothing. Raises ValueError if a
        cell has more rows than its feature, or fewer than none.
        """
        hits, trials = counts.astype(np.float64), np.repeat(rows, self._sizes).astype(np.float64)
        if (hits > trials).any() or hits.min() < 0:
            raise ValueError("a window counts a cell more often than it has rows, or less than never")
        state = self._state
        idle = np.flatnonzero(trials == 0) if not rows.all() else ()
        kept = [part[idle] for part in (state.capital, state.log_cusum, state.onset_us) if len(idle)]
        _bet(state, self._growth(bets, hits, trials), window_us)
        if kept:
            state.capital[idle], state.log_cusum[idle], state.onset_us[idle] = kept
        active = len(idle) < len(trials)
        self._state = DetectorState(state.windows + active, state.capital, state.log_cusum, state.onset_us)

    def evidence(self) -> Evidence:
        """Return the evidence of each feature (the mean of its bets) and of the model (their mean)."""
        by_cell = np.einsum("cb,cb->c", self._state.capital, self._weights)
        features = np.add.reduceat(by_cell, self._starts)
        features[self._silent] = np.nan
        return Evidence(features, _mean(features[~self._silent]))

    def moved(self, feature: int) -> MovedCell:
        """Return which cell of a feature moved most, and the window in which that began."""
        part = slice(self._starts[feature], self._starts[feature] + self._sizes[feature])
        # Not by capital, which has a ceiling that several bets reach in a long drift
        won = np.where(self._weights[part] > 0, self._state.log_cusum[part], -np.inf)
        cell, bet = divmod(int(won.argmax()), BETS_PER_CELL)
        return MovedCell(cell, bet < len(STAKES), int(self._state.onset_us[part][cell, bet]))


def rows_of(counts: Array, offsets: Array) -> Array:
    """Return the rows of each feature, int[features], where each row is in exactly one of its cells."""
    return np.asarray(np.add.reduceat(counts, offsets[:-1]))


def joined(streams: Iterable[Evidence]) -> Evidence:
    """Return the evidence of a model of all its streams: versions, arms and segments that can notify."""
    features = np.concatenate([stream.features for stream in streams])
    return Evidence(features, _mean(features[~np.isnan(features)]))


def named(evidence: Evidence, target: float) -> Array:
    """Return the places of the features that evidence names at an alarm, the strongest first.

    The e-BH list {f : E_(k) >= F target / k} (Wang and Ramdas, arXiv 2009.02824); at least one where the
    model's evidence reaches the target. It tells where to look; over time it controls no false
    discovery rate.
    """
    found = np.where(np.isnan(evidence.features), -1.0, evidence.features)
    judged = int((found >= 0).sum())
    order = np.argsort(-found, kind="stable")[:judged]
    enough = np.flatnonzero(found[order] * np.arange(1, judged + 1) >= judged * target)
    count = int(enough[-1]) + 1 if len(enough) else int(evidence.model >= target)
    return order[:count]


def _mean(known: Array) -> float:
    return float(known.sum()) / len(known) if len(known) else float("nan")


def _bet(state: DetectorState, growth: Array, window_us: int) -> None:
    """M <- (1 + M) L and, in logarithms, its CUSUM twin S <- max(1, S) L; in place, for speed."""
    cusum, capital = state.log_cusum, state.capital
    np.putmask(state.onset_us.T, cusum.T <= 0, window_us)
    cusum.clip(0.0, np.inf, out=cusum)
    cusum += growth
    np.exp(growth, out=growth)
    capital += 1.0
    capital *= growth
    capital.clip(0.0, _MAX_CAPITAL, out=capital)
