"""Silence is told where it is not usual, and nowhere else."""

import numpy as np
import pytest

from driftgate.monitoring.alerts.alert import Rule
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.quality.alarms import QualityAlarms
from driftgate.monitoring.quality.silence import Silence, decode_silence
from driftgate.monitoring.quality.silence_watch import ModelArm, SilenceWatch
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey, PaneShape

DAY = 1440
BEYOND_DOUBT = 1e4
FOUR_WEEKS_OF_TESTS = 4_032.0 * 4
ARM = ModelArm("m", "stable")


def business_hours(minute: int) -> bool:
    """Whether there is traffic: by day, and not at the weekend (the first minute is a Thursday's)."""
    return 8 * 60 <= minute % DAY < 20 * 60 and minute // DAY % 7 not in (2, 3)


def fed(minutes: int, first: int = 0, silence: Silence | None = None, outage: range = range(0)) -> Silence:
    """Silence over minutes of business hours."""
    silence = silence or Silence()
    for minute in range(first, first + minutes):
        silence.update(minute * PANE_US, not business_hours(minute) or minute in outage)
    return silence


def test_an_outage_by_day_is_found_in_minutes_and_a_quiet_night_never() -> None:
    """Weeks with quiet nights and weekends give no evidence; ten minutes without rows at noon do."""
    silence = fed(8 * DAY)
    highest = 0.0
    for day in range(8, 12):
        silence = fed(DAY, day * DAY, silence)
        highest = max(highest, silence.evidence)
    assert highest < 1000
    noon = 12 * DAY + 12 * 60
    silence = fed(12 * 60, 12 * DAY, silence)
    silence = fed(10, noon, silence, range(noon, noon + 10))
    assert silence.evidence > BEYOND_DOUBT
    assert (silence.run, silence.since_us) == (10, noon * PANE_US)
    silence = fed(120, noon + 10, silence)
    assert (silence.full, silence.evidence < 1000) == (120, True)


def test_the_first_quiet_weekend_is_a_ticket_and_later_ones_are_nothing() -> None:
    """Over five weeks of business hours nobody is paged but for an outage by day at an hour that came before.

    In windows of ten minutes there is traffic from about eight to about eight, half an hour earlier or later
    every day, and none at weekends.
    """
    rng = np.random.default_rng(4)
    alarms, silence = QualityAlarms(lambda model: FOUR_WEEKS_OF_TESTS), Silence(10 * PANE_US)
    told: dict[Rule, int] = {}
    for day in range(35):
        first, last = 48 + rng.integers(-3, 4), 120 + rng.integers(-3, 4)
        for window in range(DAY // 10):
            is_out = day == 27 and 60 <= window < 110
            is_open = first <= window < last and day % 7 not in (2, 3) and not is_out
            silence.update((day * DAY + window * 10) * PANE_US, not is_open or bool(rng.random() < 0.02))
            alarms.take_silence({ARM: silence}, {}, 0)
            for one in alarms.findings(0):
                told.setdefault(one.rule, day)
    assert told == {Rule.QUIET: 2, Rule.NO_DATA: 27}


def test_an_outage_in_the_first_week_is_a_ticket() -> None:
    """Judged by the day before alone, it is told, and pages nobody."""
    noon = DAY + 12 * 60
    silence = fed(noon + 30, outage=range(noon, noon + 30))
    assert (silence.evidence, silence.early_evidence > BEYOND_DOUBT) == (0.0, True)


def test_nothing_is_judged_on_the_first_day() -> None:
    """Nobody knows yet when it is quiet."""
    silence = fed(DAY, outage=range(10 * 60, DAY))
    assert (silence.evidence, silence.early_evidence) == (0.0, 0.0)


def test_arms_with_few_rows_are_not_missed_soon() -> None:
    """Where every other minute is empty, more empty ones say nothing."""
    silence = Silence()
    for minute in range(3 * DAY):
        silence.update(minute * PANE_US, bool(np.random.default_rng(minute).random() < 0.6))
    for minute in range(3 * DAY, 3 * DAY + 60):
        silence.update(minute * PANE_US, True)
    assert silence.early_evidence < 100


def pane(minute: int, arm: str = ARM.arm) -> tuple[PaneKey, Pane]:
    """A window of an arm."""
    key = PaneKey(ARM.model, 1, arm, ALL_ROWS, "profile", minute * PANE_US)
    return key, Pane.empty(PaneShape(0, 0, 0))


def test_an_arm_is_watched_from_its_first_rows_until_it_is_to_have_none() -> None:
    """Windows are taken in one by one, over restarts too; what is over is forgotten."""
    arms = {"stable", "canary"}
    watch = SilenceWatch(lambda model: arms, PANE_US, {})
    watch.update(dict([pane(5), pane(5, "canary"), pane(5, "shadow")]), 6 * PANE_US)
    for minute in (6, 7):
        watch.update({}, (minute + 1) * PANE_US)
    assert {arm.arm: one.run for arm, one in watch.arms().items()} == {"stable": 2, "canary": 2}
    again = SilenceWatch(lambda model: arms, PANE_US, watch.changes())
    again.update({}, 8 * PANE_US)
    again.update({}, 9 * PANE_US)
    assert again.arms()[ARM].run == 3
    arms.discard("canary")
    again.update(dict([pane(9)]), 10 * PANE_US)
    assert {arm.arm: one.run for arm, one in again.arms().items()} == {"stable": 0}
    assert again.changes()["silence/m/canary"] == b""


def test_a_gateway_that_was_down_was_not_silent() -> None:
    """Many windows that are sealed at once without any rows are not taken in."""
    watch = SilenceWatch(lambda model: None, PANE_US, {})
    watch.update(dict([pane(5)]), 6 * PANE_US)
    watch.update({}, 600 * PANE_US)
    assert watch.arms()[ARM].run == 0
    watch.update(dict([pane(700), pane(703)]), 704 * PANE_US)
    assert watch.arms()[ARM].run == 0


def test_what_is_no_state_is_refused() -> None:
    """Bytes of something else raise."""
    good = fed(300).encode()
    assert decode_silence(good).encode() == good
    assert decode_silence(fed(3 * DAY).encode()).early_evidence > 0
    for bad in (b"", b"\x01", good[:-3], good.replace(b"\xdc\x00\xa8", b"\xdc\x00\xa7", 1)):
        with pytest.raises((ValueError, NewerFormat)):
            decode_silence(bad)
