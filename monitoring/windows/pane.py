"""Panes: the rows of one version, arm and segment in one minute, as counts that add. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.pane_quality import PaneQuality, restored
from driftgate.monitoring.windows.thinned_rows import ThinnedRows

PANE_US = 60_000_000
ALL_ROWS = ""
"""The segment that every row is in."""


class PaneKey(NamedTuple):
    """What a pane is of. `segment` is like `country=FR`; `profile` names the reference whose cells it counts.

    `start_us` is when its minute begins, in Unix microseconds.
    """

    model: str
    version: int
    arm: str
    segment: str
    profile: str
    start_us: int


class PaneShape(NamedTuple):
    """How large the arrays of the panes of a profile are."""

    features: int
    cells: int
    paired: int

    @classmethod
    def of(cls, profile: ReferenceProfile) -> "PaneShape":
        """Return the shape that a profile gives."""
        return cls(len(profile.features), int(profile.offsets()[-1]), len(profile.pairs.features))


class CountedPane(NamedTuple):
    """What many windows are shown by; `counts` as in `Pane`. `read_sums` and `read_thinned` unpack more."""

    rows: int
    late_rows: int
    counts: Array
    quality: PaneQuality
    read_sums: Callable[[], Array]
    read_thinned: Callable[[], ThinnedRows | None] = lambda: None


@dataclass(slots=True)
class Pane:
    """Counts of rows. A view over several panes is a pane too: their sum.

    `counts` int64[cells] are of all features' cells, at the profile's `offsets()`. `pairs` int64[paired,
    paired] are as in `PairCounts`. `sums` and `squares` float64[features] add up (value - centre) / spread of
    the finite values, cut off at 1,000; `lows` and `highs` float64[features] are the extremes of the values,
    NaN where there are none. `late_rows` came when the pane was sealed and are counted nowhere else.
    `thinned` counts one row of each entity, where rows of one entity follow from each other.
    """

    rows: int
    late_rows: int
    counts: Array
    pairs: Array
    sums: Array
    squares: Array
    lows: Array
    highs: Array
    quality: PaneQuality
    thinned: ThinnedRows | None = None

    @classmethod
    def empty(cls, shape: PaneShape) -> "Pane":
        """Return a pane without rows."""
        features, cells, paired = shape
        return cls(
            rows=0,
            late_rows=0,
            counts=np.zeros(cells, np.int64),
            pairs=np.zeros((paired, paired), np.int64),
            sums=np.zeros(features),
            squares=np.zeros(features),
            lows=np.full(features, np.nan),
            highs=np.full(features, np.nan),
            quality=PaneQuality(),
        )

    def merge(self, other: "Pane") -> None:
        """Add another pane of the same profile."""
        self.rows += other.rows
        self.late_rows += other.late_rows
        self.counts += other.counts
        self.pairs += other.pairs
        self.sums += other.sums
        self.squares += other.squares
        np.fmin(self.lows, other.lows, out=self.lows)
        np.fmax(self.highs, other.highs, out=self.highs)
        self.quality.merge(other.quality)
        if other.thinned is not None:
            self.thinned = self.thinned or ThinnedRows.empty(len(self.counts), len(self.pairs))
            self.thinned.merge(other.thinned)

    def of_entities(self) -> "Pane":
        """Return the pane of one row of each entity; without rows if it was not counted so."""
        thinned = self.thinned or ThinnedRows.empty(len(self.counts), len(self.pairs))
        return replace(self, rows=thinned.rows, counts=thinned.counts, pairs=thinned.pairs)

    def copy(self) -> "Pane":
        """Return a pane that shares nothing with this one."""
        return Pane(
            rows=self.rows,
            late_rows=self.late_rows,
            counts=self.counts.copy(),
            pairs=self.pairs.copy(),
            sums=self.sums.copy(),
            squares=self.squares.copy(),
            lows=self.lows.copy(),
            highs=self.highs.copy(),
            quality=restored(self.quality.record(sealed=False)),
            thinned=self.thinned.copy() if self.thinned is not None else None,
        )
