"""Bad data becomes findings: a page for what is broken, a ticket for what is new, nothing once it is over."""

import numpy as np
import pytest

from driftgate.monitoring.alerts.alert import Finding, Rule, Severity
from driftgate.monitoring.quality.alarms import FINE_WINDOWS, QualityAlarms
from driftgate.monitoring.quality.findings import ArmQuality
from driftgate.monitoring.quality.rates import (
    QualityCounts,
    QualityRate,
    QualityRates,
    QualityWatch,
    Reason,
)
from driftgate.monitoring.quality.silence import Silence
from driftgate.monitoring.quality.silence_watch import ModelArm
from driftgate.monitoring.reference.profile import FORMAT, ReferenceProfile
from driftgate.monitoring.windows.pane import PANE_US, Pane, PaneShape

TARGET = 1000.0
FOUR_WEEKS_OF_MINUTES = 40_320.0
RATES = (QualityRate("null", "age"), QualityRate("new_value", "city"), QualityRate("failed", ""))


def quality(hits: tuple[int, int, int], evidence: tuple[float, float, float]) -> ArmQuality:
    """An arm with 100 rows in its last window, of which one in a hundred may be wrong in any way."""
    counts = QualityCounts(np.array(hits), np.full(3, 100))
    return ArmQuality("stable", 60_000_000, RATES, counts, np.full(3, 0.01), np.array(evidence))


def found(alarms: QualityAlarms) -> list[Finding]:
    """What is found a minute later."""
    return alarms.findings(120_000_000)


@pytest.mark.parametrize(
    ("place", "reason", "severity"),
    [(0, "null", Severity.PAGE), (1, "new_value", Severity.TICKET), (2, "failed", Severity.PAGE)],
)
def test_what_is_broken_is_a_page_and_what_is_new_a_ticket(
    place: int, reason: Reason, severity: Severity
) -> None:
    """The rule follows from what is wrong; the feature is named, with counts and what would be in order."""
    hits, evidence = [0, 0, 0], [0.0, 0.0, 0.0]
    hits[place], evidence[place] = 20, 3 * TARGET
    alarms = QualityAlarms(lambda model: TARGET)
    alarms.take("m", 1, [quality((hits[0], hits[1], hits[2]), (evidence[0], evidence[1], evidence[2]))])
    (finding,) = found(alarms)
    assert (finding.severity, finding.arm) == (severity, "stable")
    assert [one.feature for one in finding.features] == [RATES[place].feature]
    assert "20 of 100" in finding.text
    assert "1.00%" in finding.text


def test_all_rates_of_a_version_share_one_budget() -> None:
    """One rate alone must win for all: its evidence counts as the mean over all arms and rates."""
    alarms = QualityAlarms(lambda model: TARGET)
    alarms.take("m", 1, [quality((20, 0, 0), (3 * TARGET - 1, 0, 0))])
    assert found(alarms) == []


def test_a_fault_that_is_over_is_found_no_more_and_forgotten() -> None:
    """A window in order ends the finding; after a quarter of an hour of them evidence begins anew."""
    alarms = QualityAlarms(lambda model: TARGET)
    bad, good = quality((20, 0, 0), (1e9, 0, 0)), quality((0, 0, 0), (1e9, 0, 0))
    assert not alarms.take("m", 1, [bad])
    assert found(alarms)
    assert [alarms.take("m", 1, [good]) for _ in range(FINE_WINDOWS)] == [False] * (FINE_WINDOWS - 1) + [True]
    assert found(alarms) == []


def test_a_version_without_new_windows_is_found_no_more() -> None:
    """What was wrong an hour ago, before traffic went elsewhere, is no finding."""
    alarms = QualityAlarms(lambda model: TARGET)
    alarms.take("m", 1, [quality((20, 0, 0), (1e9, 0, 0))])
    assert alarms.findings(3_600_000_000) == []


def test_a_silent_arm_is_a_page() -> None:
    """An arm that should have traffic and has none is missing data, until it has some; then that is over."""
    alarms, silence, arm = QualityAlarms(lambda model: TARGET), Silence(5 * PANE_US), ModelArm("m", "stable")
    for minute in range(0, 8 * 1440, 5):
        silence.update(minute * PANE_US, is_empty=minute >= 8 * 1440 - 100)
    alarms.take_silence({arm: silence}, {arm: 4}, 1)
    (finding,) = found(alarms)
    assert (finding.rule, finding.version, finding.severity) == (Rule.NO_DATA, 4, Severity.PAGE)
    assert "no rows in the last 20 windows" in finding.text
    for minute in range(8 * 1440, 8 * 1440 + 75, 5):
        silence.update(minute * PANE_US, is_empty=False)
        alarms.take_silence({arm: silence}, {arm: 4}, 1)
        assert found(alarms) == []
    assert silence.evidence > 100
    QualityAlarms(lambda model: 100.0).take_silence({arm: silence}, {}, 1)
    assert silence.evidence == 0


def said(profile: ReferenceProfile, refused: float, stale: float, windows: int) -> set[tuple[Severity, str]]:
    """What is found in windows of 200 requests of which such shares were refused, or had a stale feature."""
    rng = np.random.default_rng(17)
    rates = QualityRates(profile)
    watch, alarms = QualityWatch(rates), QualityAlarms(lambda model: FOUR_WEEKS_OF_MINUTES)
    told: set[tuple[Severity, str]] = set()
    for window_us in range(0, windows * PANE_US, PANE_US):
        pane = Pane.empty(PaneShape.of(profile))
        pane.rows = 200
        pane.quality.count_codes(np.where(rng.random(200) < refused, 400, 200))
        pane.quality.count_statuses(["users.age"], (rng.random((200, 1)) < stale).astype(np.uint8))
        watch.update(pane, window_us)
        one = ArmQuality("stable", window_us, rates.rates, rates.count(pane), watch.highest, watch.evidence())
        alarms.take("m", 1, [one])
        told |= {(each.severity, name.what) for each in alarms.findings(window_us) for name in each.features}
    return told


BARE = ReferenceProfile(FORMAT, "none", 0, (), stored=("users.age",))
OF_TRAFFIC = ReferenceProfile(
    FORMAT, "traffic", 9_000, (), stored=("users.age",), stale=(300,), stale_of=9_000
)
TICKET, PAGE = Severity.TICKET, Severity.PAGE
STALE, MOSTLY_STALE = "stale, missing or too late", "mostly stale, missing or too late"


@pytest.mark.parametrize(
    ("profile", "refused", "stale", "windows", "expected"),
    [
        (BARE, 0.0005, 0.0005, 2_000, set()),
        (BARE, 0.03, 0.0, 2_000, {(TICKET, "requests refused")}),
        (BARE, 0.4, 0.0, 500, {(TICKET, "requests refused")}),
        (BARE, 0.8, 0.0, 2, {(PAGE, "most requests refused")}),
        (BARE, 0.0, 0.03, 500, {(TICKET, STALE)}),
        (BARE, 0.0, 1.0, 1, {(PAGE, MOSTLY_STALE)}),
        (OF_TRAFFIC, 0.0, 0.03, 2_000, set()),
        (OF_TRAFFIC, 0.0, 0.08, 100, {(TICKET, STALE)}),
        (OF_TRAFFIC, 0.0, 1.0, 1, {(PAGE, MOSTLY_STALE)}),
    ],
)
def test_one_sloppy_client_is_a_ticket_and_most_requests_are_a_page(
    profile: ReferenceProfile, refused: float, stale: float, windows: int, expected: set[tuple[Severity, str]]
) -> None:
    """Refused requests and stale features page when they are most; what was usual in a reference is fine."""
    assert said(profile, refused, stale, windows) == expected
