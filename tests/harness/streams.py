"""Streams of windows drawn from known shares, and the detector run over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.e_detector import EDetector, named
from driftgate.monitoring.reference.band import reference_band

Array = np.ndarray[Any, Any]
Shares = Sequence[Array]

SIXTEENTHS = np.full(16, 1 / 16)


@dataclass(frozen=True)
class Run:
    """In which windows evidence reached its target, the features that were named first, the most evidence."""

    alarms: tuple[int, ...]
    features: tuple[int, ...]
    most: float
    detector: EDetector


def offsets_of(shares: Shares) -> Array:
    """Where the cells of each feature begin, and the end."""
    return np.cumsum([0, *map(len, shares)])


def drawn(rng: np.random.Generator, shares: Shares, rows: int, windows: int) -> Array:
    """Counts of windows: int[windows, cells]."""
    return np.concatenate([rng.multinomial(rows, one, size=windows) for one in shares], axis=1)


def reference_bets(rng: np.random.Generator, shares: Shares, rows: int) -> Bets:
    """Bets against a reference of so many rows with these shares."""
    counts = drawn(rng, shares, rows, 1)[0]
    return bets_against(reference_band(counts, offsets_of(shares)))


def run(bets: Bets, offsets: Array, windows: Array, rows: int, target: float) -> Run:
    """Feed all windows, each of so many rows; evidence starts anew after each alarm."""
    detector = EDetector(offsets, bets.open)
    each = np.full(len(offsets) - 1, rows)
    alarms: list[int] = []
    features: tuple[int, ...] = ()
    most = 0.0
    for number, counts in enumerate(windows):
        detector.update(bets, counts, each, number)
        evidence = detector.evidence()
        most = max(most, evidence.model)
        if evidence.model >= target:
            features = features or tuple(named(evidence, target).tolist())
            alarms.append(number)
            detector.reset()
    return Run(tuple(alarms), features, most, detector)


def first_alarm(bets: Bets, offsets: Array, windows: Array, rows: int, target: float) -> Run:
    """Feed windows up to the first alarm, and leave the detector as it is then."""
    detector = EDetector(offsets, bets.open)
    each = np.full(len(offsets) - 1, rows)
    for number, counts in enumerate(windows):
        detector.update(bets, counts, each, number)
        evidence = detector.evidence()
        if evidence.model >= target:
            return Run((number,), tuple(named(evidence, target).tolist()), evidence.model, detector)
    return Run((), (), detector.evidence().model, detector)


def drifting(
    rng: np.random.Generator, shares: Shares, changed: Mapping[int, Array], sizes: tuple[int, int, int]
) -> Array:
    """Windows of (rows, windows before, windows after) in which some features change their shares."""
    rows, before, after = sizes
    later = [changed.get(place, one) for place, one in enumerate(shares)]
    return np.concatenate([drawn(rng, shares, rows, before), drawn(rng, later, rows, after)])


def sixteenths_shifted(sigma: float) -> Array:
    """Shares of the sixteen quantile cells of a normal feature, shifted by so many standard deviations."""
    normal = NormalDist()
    borders = [normal.cdf(normal.inv_cdf(place / 16) - sigma) for place in range(1, 16)]
    return np.diff([0.0, *borders, 1.0])
