"""Dependence between features: how often two are at or above their medians in the same row. Pure.

A correlation may change while every feature looks as before. Each pair of features is a cell with a reference
share near 1/4, watched like any other; evidence is the mean over pairs.
"""

import numpy as np

from driftgate.monitoring.bets import Bets
from driftgate.monitoring.e_detector import EDetector
from driftgate.monitoring.record import Array
from driftgate.monitoring.reference_band import Band, reference_band


def pairs_of(matrix: Array) -> Array:
    """Return the counts of all pairs, int64[pairs], of a matrix as in `PairCounts`."""
    return np.asarray(matrix[np.triu_indices(len(matrix), 1)])


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
    return reference_band(counts, np.arange(len(counts) + 1), tolerance, rows=each)


def pair_detector(bets: Bets, one_observation: bool = False) -> EDetector:
    """Return a detector whose features are pairs. It is one more test of its model's budget.

    `one_observation` as in `EDetector`. Raises ValueError if there is no pair.
    """
    return EDetector(np.arange(len(bets.open) + 1), bets.open, one_observation)


def update_pairs(detector: EDetector, bets: Bets, matrix: Array, rows: int, window_us: int) -> None:
    """Take in a window: its matrix and how many rows it has."""
    counts = pairs_of(matrix)
    detector.update(bets, counts, np.full(len(counts), rows), window_us)
