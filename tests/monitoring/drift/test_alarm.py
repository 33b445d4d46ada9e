"""An alarm latches, is watched on, and ends only by somebody's word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.drift.alarm import (
    TRANSITIONS,
    DriftAlarm,
    Event,
    IllegalTransition,
    Look,
    Phase,
    ended,
    looked,
)

NAN = float("nan")
RAISED = DriftAlarm(Phase.DRIFTING, 7, 5, ("age",))


def look(evidence: float, *features: str) -> Look:
    """A window at 9 with evidence against a target of 100."""
    return Look(window_us=9, evidence=evidence, target=100.0, features=features, onset_us=8)


@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        (DriftAlarm(), look(99.0), DriftAlarm()),
        (DriftAlarm(), look(NAN), DriftAlarm()),
        (DriftAlarm(), look(100.0, "age"), DriftAlarm(Phase.DRIFTING, 9, 8, ("age",))),
        (RAISED, look(1e9, "city", "age"), DriftAlarm(Phase.DRIFTING, 7, 5, ("age", "city"))),
        (RAISED, look(1.0), DriftAlarm(Phase.SUBSIDED, 7, 5, ("age",))),
        (RAISED, look(NAN), RAISED),
        (DriftAlarm(Phase.SUBSIDED, 7, 5, ("age",)), look(1.0), DriftAlarm(Phase.SUBSIDED, 7, 5, ("age",))),
        (DriftAlarm(Phase.SUBSIDED, 7, 5, ("age",)), look(200.0, "age"), RAISED),
    ],
)
def test_a_window_moves_an_alarm_as_the_table_says(before: DriftAlarm, seen: Look, after: DriftAlarm) -> None:
    """It is raised once, keeps its beginning, gathers names, and subsides without ending."""
    assert looked(before, seen) == after


@given(st.sampled_from(list(Phase)), st.sampled_from(list(Event)))
def test_only_people_end_an_alarm(phase: Phase, event: Event) -> None:
    """Acknowledging needs an alarm; a new reference always ends one; nothing else may be asked."""
    alarm = DriftAlarm(phase, 7, 5, ("age",))
    asked = event in (Event.ACKNOWLEDGED, Event.NEW_REFERENCE)
    if asked and (phase, event) in TRANSITIONS:
        assert ended(alarm, event) == DriftAlarm()
    else:
        with pytest.raises(IllegalTransition, match=phase.value):
            ended(alarm, event)


@given(st.lists(st.sampled_from([1.0, 99.9, 100.0, 1e9, NAN]), max_size=20))
def test_no_windows_silence_an_alarm(evidence: list[float]) -> None:
    """Once raised it stays until it is acknowledged, whatever comes."""
    alarm = DriftAlarm()
    raised = False
    for one in evidence:
        raised = raised or one >= 100.0
        alarm = looked(alarm, look(one))
        assert (alarm.phase is not Phase.QUIET) == raised
