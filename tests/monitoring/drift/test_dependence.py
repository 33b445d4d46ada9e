"""A correlation that changes alone is found, and the pair is named, while no feature is."""

import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.dependence import pair_at, pair_band, pair_offsets, pairs_of
from driftgate.monitoring.drift.e_detector import EDetector, named

FEATURES = 10
TARGET = 40_320.0


def matrices(rng: np.random.Generator, rows: int, windows: int, correlation: float) -> np.ndarray:
    """How often two are at or above their medians, int[windows, features, features]; 2 and 6 correlate."""
    values = rng.normal(size=(windows, rows, FEATURES))
    values[..., 6] = correlation * values[..., 2] + np.sqrt(1 - correlation**2) * values[..., 6]
    above = (values >= 0).astype(np.int64)
    return np.asarray(np.einsum("wri,wrj->wij", above, above))


def see(detector: EDetector, bets: Bets, matrix: np.ndarray, rows: int, window: int) -> None:
    """Take in one window of pairs."""
    counts = pairs_of(matrix)
    detector.update(bets, counts, np.full(len(counts), rows), window)


def test_a_correlation_alone_is_found_and_its_pair_named() -> None:
    """From 0 to 0.5 with the same marginals: within 25 windows of 100 rows among 45 pairs, none before."""
    rng = np.random.default_rng(1)
    reference = matrices(rng, 10_000, 1, 0.0)[0]
    bets = bets_against(pair_band(reference, 10_000))
    for _ in range(5):
        detector = EDetector(pair_offsets(FEATURES), bets.open)
        stream = [*matrices(rng, 100, 200, 0.0), *matrices(rng, 100, 25, 0.5)]
        for window, matrix in enumerate(stream):
            see(detector, bets, matrix, 100, window)
            if detector.evidence().model >= TARGET:
                break
        assert window >= 200
        evidence = detector.evidence()
        assert evidence.model >= TARGET
        assert [pair_at(int(place), FEATURES) for place in named(evidence, TARGET)] == [(2, 6)]
        assert abs(detector.moved(int(named(evidence, TARGET)[0])).onset_us - 200) <= 10


def test_pairs_are_each_two_features_once() -> None:
    """The order of counts and of names is the same."""
    matrix = np.arange(16).reshape(4, 4)
    names = [pair_at(place, 4) for place in range(6)]
    assert names == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert pairs_of(matrix).tolist() == [matrix[pair] for pair in names]


def test_a_reference_without_rows_judges_no_pair() -> None:
    """Any share is possible, so there is nothing to bet on, and no evidence."""
    matrix = np.zeros((3, 3), np.int64)
    bets = bets_against(pair_band(matrix, 0))
    detector = EDetector(pair_offsets(3), bets.open)
    see(detector, bets, np.full((3, 3), 5), 10, 0)
    assert np.isnan(detector.evidence().model)


def test_a_constant_and_a_missing_feature_are_no_trouble() -> None:
    """Always above or never: shares of 0 and 1 in the reference and after it."""
    matrix = np.array([[1000, 1000, 0], [1000, 1000, 0], [0, 0, 0]])
    bets = bets_against(pair_band(matrix, 1000))
    detector = EDetector(pair_offsets(3), bets.open)
    for window in range(300):
        see(detector, bets, matrix // 10, 100, window)
    assert 0 <= detector.evidence().model < 1000
