"""On public data whose drift is known: nothing before it, found soon after it, the right features named."""

from dataclasses import dataclass

import pytest

from driftgate.monitoring.drift.bets import bets_against
from driftgate.monitoring.drift.e_detector import EDetector, named
from driftgate.monitoring.reference.band import reference_band

from harness.known_drift import KnownDrift, known_drift

TARGET = 10_000.0


@dataclass(frozen=True)
class Found:
    """The row after which evidence reached the target, and by window the names of features."""

    alarm_row: int
    onset_row: int
    names: list[set[str]]


def detect(data: KnownDrift, window_rows: int) -> Found:
    """Feed all windows to a detector that nobody resets."""
    profile = data.profile
    offsets = profile.offsets()
    bets = bets_against(reference_band(profile.counts(), offsets))
    detector = EDetector(offsets, bets.open)
    names: list[set[str]] = []
    alarm = onset = 0
    for number, (counts, rows) in enumerate(zip(data.counts, data.rows, strict=True)):
        detector.update(bets, counts, rows, number)
        evidence = detector.evidence()
        reached = evidence.model >= TARGET
        places = named(evidence, TARGET).tolist() if reached else []
        names.append({profile.features[place].name for place in places})
        if reached and not alarm:
            alarm = (number + 1) * window_rows
            onset = detector.moved(places[0]).onset_us * window_rows
    return Found(alarm, onset, names)


def test_the_drift_of_car_loans_is_found_named_and_dated() -> None:
    """Five of nine columns drift from row 25,000 on: an alarm within 200 rows, exactly those within 500."""
    found = detect(known_drift("synthetic_car_loan", {"id", "timestamp", "repaid"}, 50), 50)
    drifting = {"car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car", "y_pred_proba"}
    assert 25_000 < found.alarm_row <= 25_200
    assert abs(found.onset_row - 25_000) <= 200
    assert found.names[510 - 1] == drifting
    assert set().union(*found.names) == drifting


@pytest.mark.parametrize(
    ("name", "left_out", "first_row"),
    [
        ("regression_synthetic", {"id", "timestamp", "y_true"}, 30_000),
        ("mc", {"id", "timestamp", "y_true"}, 30_000),
        ("synthetic_sample", {"id", "timestamp", "work_home_actual", "period"}, 25_000),
    ],
)
@pytest.mark.parametrize("window_rows", [50, 1_000])
def test_other_known_drifts_are_found_and_dated(
    name: str, left_out: set[str], first_row: int, window_rows: int
) -> None:
    """A price, three classes and a commute: nothing before the change, and an alarm soon after it."""
    found = detect(known_drift(name, left_out, window_rows), window_rows)
    assert first_row < found.alarm_row <= first_row + max(500, window_rows)
    assert abs(found.onset_row - first_row) <= max(200, window_rows)
