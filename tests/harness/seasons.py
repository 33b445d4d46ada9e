"""Twenty features with daily and weekly cycles, as counts of windows of five minutes."""

from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import norm

Array = np.ndarray[Any, Any]

FEATURES, CELLS = 20, 16
WINDOW_US = 300_000_000
WINDOWS_A_WEEK = 2016
MONDAY_US = 4 * 86_400_000_000
"""The first Monday of Unix time."""
OFFSETS = np.arange(FEATURES + 1) * CELLS
_BORDERS = np.array([NormalDist().inv_cdf(place / CELLS) for place in range(1, CELLS)])


def week_of_shares(rng: np.random.Generator) -> Array:
    """Means of each feature over a week, float[features, windows], of cycles of 0.1 to 0.5 sigma."""
    time = np.arange(WINDOWS_A_WEEK) / WINDOWS_A_WEEK
    day, week = rng.uniform(0.1, 0.5, (2, FEATURES, 1))
    phase = rng.uniform(0, 2 * np.pi, (2, FEATURES, 1))
    return np.asarray(day * np.sin(14 * np.pi * time + phase[0]) + week * np.sin(2 * np.pi * time + phase[1]))


def weeks_of_counts(
    rng: np.random.Generator, means: Array, rows: int, weeks: int, shift: tuple[int, float] | None = None
) -> Array:
    """Counts of windows of so many rows, int[windows, cells]; `shift` moves one feature in the last week."""
    weekly = [_shares(mean) for mean in means]
    parts = [np.tile(shares, (weeks, 1)) for shares in weekly]
    if shift:
        feature, sigma = shift
        parts[feature][-WINDOWS_A_WEEK:] = _shares(means[feature] + sigma)
    return np.concatenate([rng.multinomial(rows, shares) for shares in parts], axis=1)


def _shares(mean: Array) -> Array:
    below = norm.cdf(_BORDERS - mean[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)
