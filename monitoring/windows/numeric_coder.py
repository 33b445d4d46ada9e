"""The cells of numbers: compared with one threshold of every feature at a time, many rows at once. Pure.

A value's cell is how many thresholds it reaches. That has no branches, and takes a few nanoseconds a value.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import FeatureProfile
from driftgate.monitoring.windows.cells import NumericCells, Precision

_ROWS_AT_ONCE = 4096
"""So many rows of dozens of features stay in a core's cache."""


class Numbers(NamedTuple):
    """Places of numeric features in the profile, and values, float32 or float64 [features, rows]."""

    features: Array
    values: Array


class NumericCoder:
    """Thresholds of all features of one precision, side by side; where one has fewer, there is NaN."""

    def __init__(self, features: Sequence[FeatureProfile], precision: Precision) -> None:
        self._dtype: Any = np.float32 if precision == "single" else np.float64
        cells = [
            one.cells if isinstance(one.cells, NumericCells) and one.cells.precision == precision else None
            for one in features
        ]
        longest = max((len(one.thresholds) for one in cells if one is not None), default=0)
        self._thresholds = np.full((longest + 2, len(features)), np.nan, self._dtype)
        self._infinite = np.zeros(len(features), np.uint8)
        for place, one in enumerate(cells):
            if one is not None:
                edges = (np.finfo(self._dtype).min, *one.thresholds, np.inf)
                self._thresholds[: len(edges), place] = edges
                self._infinite[place] = one.infinite

    def matrix(self, columns: list[tuple[int, Array]]) -> Numbers:
        """Return columns as the rows of one matrix."""
        features = np.array([place for place, _ in columns], np.int64)
        values = np.empty((len(columns), len(columns[0][1])), self._dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for row, (_, column) in zip(values, columns, strict=True):
                row[:] = column
        return Numbers(features, values)

    def code(self, numbers: Numbers) -> Array:
        """Return the cells of the values: uint8[features, rows]."""
        features, values = numbers
        codes = np.empty(values.shape, np.uint8)
        steps = self._thresholds[:, features]
        steps = steps[~np.isnan(steps).all(axis=1)]
        with np.errstate(invalid="ignore"):
            for start in range(0, values.shape[1], _ROWS_AT_ONCE):
                part = np.s_[:, start : start + _ROWS_AT_ONCE]
                codes[part] = _reached(values[part], steps)
        lost = codes == NumericCells.NULL
        if lost.any():
            rows, columns = np.nonzero(lost & (values == -np.inf))
            codes[rows, columns] = self._infinite[features[rows]]
        return codes


def row_hashes(numbers: Numbers, chosen: Array) -> Array:
    """Return uint64[rows] that are equal where the values of the `chosen` features (bool[features]) are."""
    values = numbers.values if chosen.all() else numbers.values[chosen]
    if values.itemsize == 4:
        bits: Array = values.view(np.uint32)
    else:
        long: Array = values.view(np.uint64)
        bits = (long ^ (long >> np.uint64(32))).astype(np.uint32)
    mixed = bits ^ (bits >> np.uint32(16))
    mixed *= (numbers.features[chosen].astype(np.uint32) * np.uint32(2654435762) + np.uint32(0x9E3779B1))[
        :, None
    ]
    mixed ^= mixed >> np.uint32(15)
    return np.asarray(mixed.sum(axis=0, dtype=np.uint64))


def _reached(values: Array, steps: Array) -> Array:
    """Return how many of the thresholds [steps, features] each value [features, rows] reaches."""
    values = np.ascontiguousarray(values)
    codes = np.zeros(values.shape, np.uint8)
    reaches = np.empty(values.shape, np.bool_)
    for thresholds in steps:
        np.greater_equal(values, thresholds[:, None], out=reaches)
        np.add(codes, reaches.view(np.uint8), out=codes)
    return codes
