"""The detector keeps its arithmetic in range, its state exact, and says what moved and since when."""

import timeit
from itertools import pairwise

import numpy as np
import pytest

from driftgate.monitoring.drift.bets import MAX_LOG, Bets, bets_against
from driftgate.monitoring.drift.detector_codec import decode_state, encode_state
from driftgate.monitoring.drift.e_detector import EDetector, Evidence, joined, named
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.reference.band import reference_band

from harness.streams import SIXTEENTHS, drawn, drifting, first_alarm, offsets_of, reference_bets

THREE = (np.array([0.2, 0.3, 0.5]), np.array([0.9, 0.1]), SIXTEENTHS)
OFFSETS = offsets_of(THREE)


def detector_and_bets() -> tuple[EDetector, Bets]:
    """A detector of three features with a reference of 2,000 rows."""
    bets = reference_bets(np.random.default_rng(0), THREE, 2_000)
    return EDetector(OFFSETS, bets.open), bets


def test_capital_follows_the_stated_recursion() -> None:
    """M <- (1 + M) L for each bet; evidence is the mean of a feature's bets, and that of the features."""
    rng = np.random.default_rng(1)
    bets = reference_bets(rng, THREE, 2_000)
    detector = EDetector(OFFSETS, bets.open)
    capital = np.zeros_like(bets.per_hit)
    for window in drawn(rng, THREE, 50, 30):
        detector.update(bets, window, np.full(3, 50), 0)
        capital = (1 + capital) * np.exp(window[:, None] * bets.per_hit + 50 * bets.per_row)
    expected = [capital[start:stop][bets.open[start:stop]].mean() for start, stop in pairwise(OFFSETS)]
    evidence = detector.evidence()
    assert evidence.features == pytest.approx(np.array(expected))
    assert evidence.model == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("one_observation", [False, True])
def test_a_million_windows_of_drift_overflow_nothing(one_observation: bool) -> None:
    """Evidence stops at its ceiling, the CUSUM goes on, and everything stays a number."""
    bets = bets_against(reference_band(np.array([500, 500]), np.array([0, 2])))
    detector = EDetector(np.array([0, 2]), bets.open, one_observation)
    counts, rows = np.array([1000, 0]), np.array([1000])
    for window in range(2_000):
        detector.update(bets, counts, rows, window)
    state = detector.state
    state.log_cusum[:] *= 500  # as after a million of them
    detector.restore(state)
    detector.update(bets, counts, rows, 2_000)
    assert np.isfinite(detector.state.capital).all()
    assert np.isfinite(detector.state.log_cusum).all()
    assert np.log(detector.evidence().model) == pytest.approx(MAX_LOG, abs=3)
    assert detector.moved(0).onset_us == 0


def test_evidence_falls_again_when_drift_has_ended() -> None:
    """From its ceiling, too: windows like the reference lose what drift has won."""
    rng = np.random.default_rng(2)
    bets = reference_bets(rng, THREE, 20_000)
    detector = EDetector(OFFSETS, bets.open)
    for window in np.tile([0, 0, 100, 0, 100, *[0] * 15, 100], (50, 1)):
        detector.update(bets, window, np.full(3, 100), 0)
    assert detector.evidence().model > 1e100
    for window in drawn(rng, THREE, 100, 2_000):
        detector.update(bets, window, np.full(3, 100), 0)
    assert detector.evidence().model < 1e3


def test_an_empty_window_changes_nothing() -> None:
    """No rows are no evidence, neither for a whole model nor for one feature."""
    detector, bets = detector_and_bets()
    rng = np.random.default_rng(3)
    detector.update(bets, drawn(rng, THREE, 40, 1)[0], np.full(3, 40), 1)
    before = encode_state(detector.state)
    detector.update(bets, np.zeros(21, int), np.zeros(3, int), 2)
    assert encode_state(detector.state) == before
    old = detector.evidence().features
    detector.update(bets, np.array([10, 20, 30, 0, 0, *[0] * 16]), np.array([60, 0, 0]), 3)
    new = detector.evidence().features
    assert new[0] != old[0]
    assert new[1:].tolist() == old[1:].tolist()


@pytest.mark.parametrize("bad", [[41, 0, 0], [-1, 20, 21]])
def test_counts_that_cannot_be_are_refused(bad: list[int]) -> None:
    """A cell with more rows than there are, or fewer than none, is an error and changes nothing."""
    detector, bets = detector_and_bets()
    before = encode_state(detector.state)
    with pytest.raises(ValueError, match="more often than it has rows"):
        detector.update(bets, np.array([*bad, 36, 4, *[0] * 16]), np.full(3, 40), 0)
    assert encode_state(detector.state) == before


@pytest.mark.parametrize("offsets", [[0], [0, 0, 21], [0, 20]])
def test_cells_that_are_nobodys_are_refused(offsets: list[int]) -> None:
    """Every feature has cells, and every cell has a feature."""
    with pytest.raises(ValueError, match="every feature needs a cell"):
        EDetector(np.array(offsets), np.ones((21, 10), bool))


def test_without_reference_rows_nothing_is_said() -> None:
    """A feature that the reference never saw has no evidence, and does not dilute that of the others."""
    counts = np.array([0, 0, 500, 500])
    bets = bets_against(reference_band(counts, np.array([0, 2, 4])))
    detector = EDetector(np.array([0, 2, 4]), bets.open)
    detector.update(bets, np.array([9, 0, 9, 0]), np.array([9, 9]), 0)
    evidence = detector.evidence()
    assert np.isnan(evidence.features[0])
    assert evidence.model == evidence.features[1]
    none = bets_against(reference_band(np.zeros(2, int), np.array([0, 2])))
    silent = EDetector(np.array([0, 2]), none.open)
    silent.update(none, np.array([9, 0]), np.array([9]), 0)
    assert np.isnan(silent.evidence().model)
    assert named(silent.evidence(), 10.0).tolist() == []


def test_a_restored_detector_goes_on_to_the_last_bit() -> None:
    """State through bytes, and the rest of the windows, gives what one detector gives."""
    rng = np.random.default_rng(4)
    windows = drawn(rng, THREE, 30, 40)
    whole, bets = detector_and_bets()
    for number, window in enumerate(windows):
        whole.update(bets, window, np.full(3, 30), number)
    first, _ = detector_and_bets()
    for number, window in enumerate(windows[:17]):
        first.update(bets, window, np.full(3, 30), number)
    second, _ = detector_and_bets()
    second.restore(decode_state(encode_state(first.state)))
    for number, window in enumerate(windows[17:], 17):
        second.update(bets, window, np.full(3, 30), number)
    assert encode_state(second.state) == encode_state(whole.state)


def test_a_state_of_other_cells_is_refused() -> None:
    """A state belongs to the cells it was made of."""
    detector, _ = detector_and_bets()
    other = EDetector(np.array([0, 2]), np.ones((2, 10), bool))
    with pytest.raises(ValueError, match="2 cells for a detector of 21"):
        detector.restore(other.state)


def test_damaged_states_are_refused() -> None:
    """Cut, lengthened, of another format or holding no numbers: said, not used."""
    detector, _ = detector_and_bets()
    data = encode_state(detector.state)
    for damaged in (b"", data[:-1], data + b"\0", b"\0" * len(data), data[:16] + b"\xff" * (len(data) - 16)):
        with pytest.raises(ValueError, match="state of a detector"):
            decode_state(damaged)
    with pytest.raises(NewerFormat):
        decode_state(b"\x02" + data[1:])


def test_the_cell_that_moved_and_its_onset_are_told() -> None:
    """A shift upwards fills the last cell, from the window on in which it began."""
    rng = np.random.default_rng(5)
    shares = [SIXTEENTHS] * 5
    changed = SIXTEENTHS.copy()
    changed[[3, 15]] = [0.0, 0.125]
    bets = reference_bets(rng, shares, 20_000)
    windows = drifting(rng, shares, {2: changed}, (200, 300, 50))
    found = first_alarm(bets, offsets_of(shares), windows, 200, 40_320)
    assert found.features == (2,)
    assert 300 <= found.alarms[0] <= 303
    moved = found.detector.moved(2)
    assert (moved.cell, moved.rises) in {(3, False), (15, True)}
    assert abs(moved.onset_us - 300) <= 3


def test_naming_is_the_stated_list() -> None:
    """The k strongest are named, for the largest k whose weakest has evidence of F target / k."""
    evidence = joined([Evidence(np.array([1.0, 900.0, np.nan, 400.0]), 0.0), Evidence(np.array([30.0]), 0.0)])
    assert evidence.model == pytest.approx((1 + 900 + 400 + 30) / 4)
    assert named(evidence, 200.0).tolist() == [1, 3]
    assert named(evidence, 250.0).tolist() == [1]
    assert named(evidence, 1e6).tolist() == []


def test_an_alarm_always_names_somebody() -> None:
    """Where evidence is spread so evenly that the list is empty, the strongest is named."""
    spread = 12.0 / np.arange(1, 5) * 0.99
    evidence = joined([Evidence(spread, 0.0)])
    assert named(evidence, evidence.model).tolist() == [0]


@pytest.mark.alone
def test_a_window_of_fifty_features_costs_little() -> None:
    """50 features of 20 cells: 100 microseconds on a quiet machine, three times that on a busy one."""
    rng = np.random.default_rng(6)
    shares = [np.full(20, 0.05)] * 50
    bets = reference_bets(rng, shares, 10_000)
    detector = EDetector(offsets_of(shares), bets.open)
    window, rows = drawn(rng, shares, 100, 1)[0], np.full(50, 100)

    def one() -> None:
        detector.update(bets, window, rows, 0)
        detector.evidence()

    assert min(timeit.repeat(one, number=50, repeat=10)) / 50 <= 300e-6
