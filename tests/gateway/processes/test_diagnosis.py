"""What is judged to be wrong with an installation."""

import pytest

from driftgate.gateway.processes import diagnosis
from driftgate.gateway.processes.diagnosis import Finding
from driftgate.gateway.state.beat import BeatReading, BeatState
from driftgate.monitoring.book.follower_status import FollowerStatus

NOW_NS = 1_000_000_000_000
NOW_US = diagnosis.EARLIEST_US + 1_000_000
GIB = 2**30
PUBLIC = "192.0.2.1"


def beat(state: BeatState, age_s: float) -> BeatReading:
    """A beat that pulsed so long ago."""
    return BeatReading("boot", 7, state, NOW_NS - int(age_s * 1e9), 3, 0, 0)


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (diagnosis.judge_packages([], {"driftgate": "1"}), "ok"),
        (diagnosis.judge_packages(["uvloop"], {}), "problem"),
        (diagnosis.judge_version("1", "1"), "ok"),
        (diagnosis.judge_version("1", "2"), "note"),
        (diagnosis.judge_version(None, "2"), "problem"),
        (diagnosis.judge_permissions({"a": 0o100600, "b": 0o40700}), "ok"),
        (diagnosis.judge_permissions({"a": 0o100640}), "problem"),
        (diagnosis.judge_disk(2 * GIB, 100 * GIB), "ok"),
        (diagnosis.judge_disk(GIB // 2, 100 * GIB), "problem"),
        (diagnosis.judge_disk(GIB // 20, GIB // 2), "ok"),
        (diagnosis.judge_clock(NOW_US, NOW_US - 10), "ok"),
        (diagnosis.judge_clock(NOW_US, NOW_US + 3_600_000_000), "problem"),
        (diagnosis.judge_clock(5, 5), "problem"),
        (diagnosis.judge_descriptors(1024), "ok"),
        (diagnosis.judge_descriptors(256), "problem"),
        (diagnosis.judge_beat("control", None, NOW_NS), "problem"),
        (diagnosis.judge_beat("control", beat(BeatState.ACCEPTING, 1), NOW_NS), "ok"),
        (diagnosis.judge_beat("control", beat(BeatState.ACCEPTING, 60), NOW_NS), "problem"),
        (diagnosis.judge_beat("control", beat(BeatState.DEAD, 1), NOW_NS), "problem"),
        (diagnosis.judge_generations({0: 4, 1: 4}, 4), "ok"),
        (diagnosis.judge_generations({0: 4, 1: 3}, 4), "problem"),
        (diagnosis.judge_exposure({"127.0.0.1": True}, "off", False), "ok"),
        (diagnosis.judge_exposure({PUBLIC: False}, "off", False), "problem"),
        (diagnosis.judge_exposure({PUBLIC: False}, "control", False), "problem"),
        (diagnosis.judge_exposure({PUBLIC: False}, "all", True), "ok"),
    ],
)
def test_what_is_wrong(finding: Finding, level: str) -> None:
    """Each check tells sound from unsound, and says what to do about what is unsound."""
    assert finding.level == level
    assert bool(finding.advice) == (level != "ok")


def test_small_disks_are_told_in_mib() -> None:
    """A size is told in a unit that shows it."""
    assert diagnosis.judge_disk(3 * 2**20, 12 * 2**20).text == "3 MiB of 12 MiB are free"
    assert diagnosis.judge_disk(2 * GIB, 100 * GIB).text == "2.0 GiB of 100.0 GiB are free"


@pytest.mark.parametrize(
    ("counts", "enabled", "expected"),
    [
        ({}, False, [("log", "note")]),
        ({"written_rows": 5}, True, [("log", "ok")]),
        ({"dropped_rows_quota": 1}, True, [("log", "problem")]),
        ({"failed_writes": 1}, True, [("log", "ok"), ("log", "problem")]),
    ],
)
def test_what_the_log_lost(counts: dict[str, int], enabled: bool, expected: list[tuple[str, str]]) -> None:
    """Lost records and failed writes are each a problem of their own."""
    found = diagnosis.judge_log(counts, enabled)
    assert [(finding.check, finding.level) for finding in found] == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (FollowerStatus(at_us=99_000_000, lag_s=1, archive_failures=7), []),
        (FollowerStatus(at_us=99_000_000, lag_s=600), ["monitor"]),
        (FollowerStatus(at_us=9_000_000), ["monitor"]),
        (FollowerStatus(at_us=99_000_000, unwritten_s=3), ["archive"]),
        (FollowerStatus(at_us=99_000_000, damaged_bytes=1), ["archive"]),
    ],
)
def test_how_the_monitor_fares(status: FollowerStatus, expected: list[str]) -> None:
    """One that lags, is silent or cannot write now is told; what it could not write once is not."""
    found = diagnosis.judge_monitor(status, 100_000_000)
    assert [finding.check for finding in found] == expected
    assert all(finding.level == "problem" and finding.advice for finding in found)
