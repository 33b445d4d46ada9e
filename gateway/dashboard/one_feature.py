"""One feature of one arm: its cells in the reference, now and before, and how its bad values went. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftgate.monitoring.drift.effect_sizes import EffectSizes, effect_sizes
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import FeatureProfile, ReferenceProfile
from driftgate.monitoring.windows.cells import CategoricalCells, NumericCells
from driftgate.monitoring.windows.pane import CountedPane
from driftgate.monitoring.windows.space_saving import SpaceSaving

MOST_NAMES = 20


class Cell(msgspec.Struct, frozen=True):
    """Rows of one cell in the reference, in the window before, and in the window."""

    name: str
    reference: int
    before: int
    window: int


class Rows(msgspec.Struct, frozen=True):
    """How many rows there are, of what time (Unix microseconds), and the mean of finite numbers."""

    rows: int
    first_us: int = 0
    end_us: int = 0
    mean: float | None = None


class Trend(msgspec.Struct, frozen=True):
    """Shares of bad values in steps of time, and means of finite numbers; None where there is no such row.

    A list is None for a feature that cannot have such values.
    """

    first_us: int
    end_us: int
    step_us: int
    start_us: tuple[int, ...]
    null: tuple[float | None, ...]
    type_error: tuple[float | None, ...]
    new: tuple[float | None, ...] | None
    out_of_range: tuple[float | None, ...] | None
    infinite: tuple[float | None, ...] | None
    mean: tuple[float | None, ...]


class NamedValue(msgspec.Struct, frozen=True):
    """A value that the reference does not have, and how many rows had it at most."""

    value: str
    count: int


class FeatureCells(msgspec.Struct, frozen=True):
    """What windows say of one feature. `effect` compares the window with the reference."""

    cells: tuple[Cell, ...]
    reference: Rows
    before: Rows
    window: Rows
    effect: EffectSizes | NotEnoughData
    trend: Trend
    new_values: tuple[NamedValue, ...]


@dataclass(frozen=True)
class Stretch:
    """What is looked at, in Unix microseconds: the window [window_us, end_us), as long before it; a trend."""

    window_us: int
    end_us: int
    first_us: int
    step_us: int

    @property
    def before_us(self) -> int:
        """When the window before began."""
        return 2 * self.window_us - self.end_us


class _Part:
    """One feature's share of panes, given by their start."""

    def __init__(self, profile: ReferenceProfile, place: int, panes: Mapping[int, CountedPane]) -> None:
        offsets = profile.offsets()
        self.feature = profile.features[place]
        cells = slice(int(offsets[place]), int(offsets[place + 1]))
        self._counts = {start: pane.counts[cells] for start, pane in panes.items()}
        is_number = isinstance(self.feature.cells, NumericCells)
        self._sums = {start: float(pane.read_sums()[place]) for start, pane in panes.items() if is_number}

    def counts(self, starts: Iterable[int]) -> Array:
        """Return the counts of some panes together."""
        total = np.zeros(self.feature.cells.size, np.int64)
        for start in starts:
            total += self._counts[start]
        return total

    def mean(self, starts: Sequence[int]) -> float | None:
        """Return the mean of the finite numbers of some panes, None where there are none."""
        cells = self.feature.cells
        if not isinstance(cells, NumericCells):
            return None
        finite = int(self.counts(starts)[cells.BELOW : cells.above + 1].sum())
        total = sum(self._sums[start] for start in starts)
        return self.feature.centre + self.feature.spread * total / finite if finite else None


def feature_cells(
    profile: ReferenceProfile, place: int, panes: Mapping[int, CountedPane], stretch: Stretch
) -> FeatureCells:
    """Return what panes, by start, say of the feature at a place of the profile that counted them."""
    part = _Part(profile, place, panes)
    feature = part.feature
    window = [start for start in panes if start >= stretch.window_us]
    before = [start for start in panes if stretch.before_us <= start < stretch.window_us]
    now, then = part.counts(window), part.counts(before)
    return FeatureCells(
        cells=tuple(map(Cell, feature.cells.names, feature.counts, then.tolist(), now.tolist())),
        reference=Rows(feature.rows, mean=feature.moments.mean if feature.moments.n else None),
        before=Rows(int(then.sum()), stretch.before_us, stretch.window_us, part.mean(before)),
        window=Rows(int(now.sum()), stretch.window_us, stretch.end_us, part.mean(window)),
        effect=effect_of(feature, now),
        trend=_trend(part, sorted(panes), stretch),
        new_values=_new_values((panes[start] for start in window), place),
    )


def effect_of(feature: FeatureProfile, counts: Array) -> EffectSizes | NotEnoughData:
    """Return how far counts of a feature are from its reference."""
    reference = np.array(feature.counts)
    if isinstance(feature.cells, NumericCells):
        return effect_sizes(reference, counts, np.array(feature.cells.thresholds), NumericCells.BELOW)
    return effect_sizes(reference, counts)


def _trend(part: _Part, starts: Sequence[int], stretch: Stretch) -> Trend:
    steps: dict[int, list[int]] = {}
    for start in starts:
        if start >= stretch.first_us:
            steps.setdefault(start // stretch.step_us * stretch.step_us, []).append(start)
    counts = [part.counts(some) for some in steps.values()]
    cells = part.feature.cells
    is_number, is_known = isinstance(cells, NumericCells), part.feature.rows > 0
    outside = (cells.BELOW, cells.above) if isinstance(cells, NumericCells) else ()
    new = (cells.new,) if isinstance(cells, CategoricalCells) else ()
    return Trend(
        first_us=stretch.first_us,
        end_us=stretch.end_us,
        step_us=stretch.step_us,
        start_us=tuple(steps),
        null=_shares(counts, (cells.NULL,)),
        type_error=_shares(counts, (cells.mistyped,)),
        new=_shares(counts, new) if new and is_known else None,
        out_of_range=_shares(counts, outside) if is_number and is_known else None,
        infinite=_shares(counts, (cells.infinite,)) if isinstance(cells, NumericCells) else None,
        mean=tuple(part.mean(some) for some in steps.values()),
    )


def _shares(counts: Iterable[Array], cells: tuple[int, ...]) -> tuple[float | None, ...]:
    return tuple(
        float(one[list(cells)].sum() / total) if (total := int(one.sum())) else None for one in counts
    )


def _new_values(panes: Iterable[CountedPane], place: int) -> tuple[NamedValue, ...]:
    found = SpaceSaving(64)
    for pane in panes:
        if place in pane.quality.new_values:
            found.merge(pane.quality.new_values[place])
    return tuple(NamedValue(one.value, one.count) for one in found.get(MOST_NAMES))
