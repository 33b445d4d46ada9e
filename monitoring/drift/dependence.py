"""Dependence between features: how often two are at or above their medians in the same row. Pure.

A correlation may change while every feature looks as before. Each pair of features is a cell with a reference
share near 1/4, watched like any other; evidence is the mean over pairs. They are a test of their own, which
shares the budget of its model.
"""

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.band import Band, reference_band


def pairs_of(matrix: Array) -> Array:
    """Return the counts of all pairs, int64[pairs], of a matrix as in `PairCounts`."""
    return matrix.take(pair_places(len(matrix)))


def pair_places(features: int) -> Array:
    """Return where the pairs of so many features are in their matrix, row by row: int64[pairs]."""
    return np.flatnonzero(~np.tri(features, dtype=bool))


def pair_at(place: int, features: int) -> tuple[int, int]:
    """Return which two of so many features a pair is of."""
    first, second = np.triu_indices(features, 1)
    return int(first[place]), int(second[place])


def pair_band(matrix: Array, rows: int, tolerance: float = 0.0) -> Band:
    """Return the band of all pairs, given the matrix of a reference and its rows.

    Without rows any share is possible. There must be a pair.
    """
    counts = pairs_of(matrix)
    each = np.full(len(counts), rows)
    return reference_band(counts, pair_offsets(len(matrix)), tolerance, rows=each)


def pair_offsets(features: int) -> Array:
    """Return the offsets of pairs, each of which is to a detector a feature of one cell: int64[pairs + 1]."""
    return np.arange(features * (features - 1) // 2 + 1)
