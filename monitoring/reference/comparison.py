"""How far two references of a version are apart: what the new one takes for normal and the old did not. Pure.

Their cells differ, so what is compared is what both know: shares of values, moments, and how much is missing.
"""

from collections.abc import Iterator

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import FeatureProfile, Moments, ReferenceProfile
from driftgate.monitoring.windows.cells import CategoricalCells, NumericCells


class FeatureChange(msgspec.Struct, frozen=True):
    """One feature in the reference before (`old_`) and in this one; `missing` are shares of its rows.

    `distance` is between 0 and 1: of numbers the largest difference of cumulated shares (Kolmogorov-Smirnov;
    between the cells' edges as if rows were spread evenly), of texts half the sum of the differences of
    shares (total variation). What is missing takes no part in it.
    """

    name: str
    distance: float
    old_missing: float
    missing: float
    old_moments: Moments
    moments: Moments


def profile_changes(old: ReferenceProfile, new: ReferenceProfile) -> tuple[FeatureChange, ...]:
    """Return how features differ that have rows in both references, the greatest distance first."""
    found = list(_changes(old, new))
    return tuple(sorted(found, key=lambda one: (-one.distance, one.name)))


def _changes(old: ReferenceProfile, new: ReferenceProfile) -> Iterator[FeatureChange]:
    known = {feature.name: feature for feature in old.features}
    for feature in new.features:
        before = known.get(feature.name)
        if before is None or not before.rows or not feature.rows:
            continue
        distance = _distance(before, feature)
        if distance is not None:
            yield FeatureChange(
                name=feature.name,
                distance=distance,
                old_missing=_missing(before),
                missing=_missing(feature),
                old_moments=before.moments,
                moments=feature.moments,
            )


def _distance(old: FeatureProfile, new: FeatureProfile) -> float | None:
    """Return the distance; None where one is of numbers and the other of texts."""
    a, b = old.cells, new.cells
    if isinstance(a, NumericCells) and isinstance(b, NumericCells):
        at = np.union1d(a.thresholds, b.thresholds)
        return float(np.abs(_below(a, old.counts, at) - _below(b, new.counts, at)).max())
    if isinstance(a, CategoricalCells) and isinstance(b, CategoricalCells):
        first, second = _shares(a, old.counts), _shares(b, new.counts)
        names = first.keys() | second.keys()
        return sum(abs(first.get(name, 0.0) - second.get(name, 0.0)) for name in names) / 2
    return None


def _below(cells: NumericCells, counts: tuple[int, ...], at: Array) -> Array:
    """Return the share of finite values below each number: float64[numbers]."""
    inner = np.array(counts[cells.BELOW : cells.above], np.float64)
    below = np.cumsum(inner) / max(1.0, inner.sum() + counts[cells.above])
    return np.asarray(np.interp(at, np.array(cells.thresholds), below, left=0.0, right=1.0))


def _shares(cells: CategoricalCells, counts: tuple[int, ...]) -> dict[str, float]:
    """Return the share of each value among texts, by its name; rare ones share an empty one."""
    named = {value: counts[place] for place, value in enumerate(cells.values, 1)}
    rest = counts[cells.other] + counts[cells.new]
    total = max(1, sum(named.values()) + rest)
    return {value: count / total for value, count in (named | {"": rest}).items()}


def _missing(feature: FeatureProfile) -> float:
    return feature.counts[feature.cells.NULL] / feature.rows
