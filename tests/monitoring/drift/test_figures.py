"""What is told of drift: how a version is watched."""

import pytest

from driftgate.monitoring.drift.figures import watch_of
from driftgate.monitoring.drift.plan import DriftPlan
from driftgate.monitoring.drift.seasons import WEEK_US, WEEKS_TO_PROPOSE, Watch
from driftgate.monitoring.drift.version_drift import VersionDrift
from driftgate.monitoring.reference.sample import ReferenceSample


@pytest.mark.parametrize(
    ("weeks", "armed", "watch"),
    [
        (0, False, Watch.OBSERVING),
        (WEEKS_TO_PROPOSE - 1, False, Watch.OBSERVING),
        (WEEKS_TO_PROPOSE, False, Watch.PROPOSED),
        (100, False, Watch.PROPOSED),
        (0, True, Watch.ARMED),
        (100, True, Watch.ARMED),
    ],
)
def test_only_an_operator_arms(weeks: int, armed: bool, watch: Watch) -> None:
    """A version is observed, proposed after two weeks, and armed by its plan alone and not by time."""
    drift = VersionDrift(ReferenceSample().get("training"), DriftPlan(notifies=armed), lambda segment: None)
    drift.first_us, drift.last_us = WEEK_US, (1 + weeks) * WEEK_US
    assert watch_of(drift) is watch
