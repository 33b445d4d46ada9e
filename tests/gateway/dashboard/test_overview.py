"""The first page puts together what control, workers and monitor say."""

import pytest

from driftgate.gateway.control.model_report import ArmReport, ModelReport
from driftgate.gateway.dashboard.drift_words import drift_words, find_feature, moved_cell
from driftgate.gateway.dashboard.overview import Seen, overview_of, strong_rates
from driftgate.gateway.dashboard.traffic_meter import VersionTraffic
from driftgate.gateway.state.desired import Assignment
from driftgate.models.registry.settings import ModelSettings
from driftgate.monitoring.book.follower_status import FollowerStatus
from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.seasons import Watch
from driftgate.monitoring.drift.status import (
    AlarmFigure,
    DriftStatus,
    FeatureFigure,
    StreamFigure,
    VersionFigure,
)
from driftgate.monitoring.windows.window_status import QualityFigure, WindowFigures, WindowStatus

NOW_US = 1_790_000_000_000_000
MINUTE_US = 60_000_000


def report(*arms: ArmReport) -> ModelReport:
    """A model with these arms."""
    return ModelReport(
        name="m",
        owner="us",
        description="",
        settings=ModelSettings(),
        traffic=arms,
        assignment=Assignment(),
        labels={},
        pinned=None,
        unloaded=False,
        history=(),
        change=None,
        versions=(),
        problems=(),
    )


def figures(arm: str, version: int, *quality: QualityFigure) -> WindowFigures:
    """The last window of an arm."""
    return WindowFigures("m", version, arm, NOW_US - MINUTE_US, 100, "training", 1000, "id", quality)


def drift(watch: Watch, phase: Phase) -> DriftStatus:
    """Version 2 in two arms; only in the canary a feature is named."""
    age = FeatureFigure("age", 9.0, "above 80", True, NOW_US - 5 * MINUTE_US, is_named=True)
    calm = FeatureFigure("age", 0.5, "above 80", True, 0)
    alarm = AlarmFigure(phase, NOW_US, NOW_US - 5 * MINUTE_US, ("age",))
    streams = (
        StreamFigure("canary", "", NOW_US, 100, 9, (age,)),
        StreamFigure("stable", "", NOW_US, 100, 9, (calm,)),
        StreamFigure("canary", "city=Lyon", NOW_US, 100, 9, (age,)),
    )
    version = VersionFigure("m", 2, watch, "id", "training", 1000, 0, 5.0, 6.0, drift=alarm, streams=streams)
    return DriftStatus(NOW_US, MINUTE_US, (version,))


def seen(status: DriftStatus | None = None, *quality: QualityFigure) -> Seen:
    """A monitor that lives and an arm with rows."""
    return Seen(
        now_us=NOW_US,
        monitor=FollowerStatus(at_us=NOW_US),
        windows=WindowStatus(figures=(figures("canary", 2, *quality), figures("stable", 2))),
        last={("m", 2, "canary"): (NOW_US - MINUTE_US, 100), ("m", 2, "stable"): (NOW_US - MINUTE_US, 7)},
        traffic={("m", 2): VersionTraffic(60.0, rows_per_s=5.0)},
        drift=drift_words(status),
    )


CANARY = ArmReport("canary", 2, 100.0, 1_000_000)


def test_arms_of_the_split_come_first() -> None:
    """Rows outside of the split are shown too, without a share, while there are some."""
    (model,) = overview_of([report(CANARY)], seen())
    assert [(arm.arm, arm.percent) for arm in model.arms] == [("canary", 100.0), ("stable", None)]
    assert model.arms[0].traffic.rows_per_s == 5.0
    assert model.arms[1].window_rows == 7


def test_only_the_arm_that_drifts_is_said_to() -> None:
    """A version's alarm is told at the arm whose feature is named, with the feature and since when."""
    (model,) = overview_of([report(CANARY)], seen(drift(Watch.ARMED, Phase.DRIFTING)))
    canary, stable = model.arms
    assert (canary.state.word, stable.state.word) == ("drifting", "ok")
    assert canary.state.why == "named: age"
    assert canary.state.since_us == NOW_US - 5 * MINUTE_US
    assert (canary.log10_evidence, canary.strongest) == (9.0, "age")


def test_before_it_is_armed_it_says_that_nobody_is_told() -> None:
    """Evidence that notifies nobody yet is shown as such."""
    (model,) = overview_of([report(CANARY)], seen(drift(Watch.OBSERVING, Phase.QUIET)))
    assert model.arms[0].state.word == "observing"


@pytest.mark.parametrize(
    ("reason", "word"), [("null", "bad_data"), ("new_value", "unusual_data"), ("repeated", "unusual_data")]
)
def test_broken_data_are_not_unusual_ones(reason: str, word: str) -> None:
    """What cannot be right is told apart from what was never there."""
    (model,) = overview_of([report(CANARY)], seen(None, QualityFigure(reason, "age", 9, 100, 6.0)))
    assert model.arms[0].state.word == word
    assert model.arms[0].state.why == f"{reason.replace('_', ' ')}: age"


def test_many_rates_are_counted() -> None:
    """The strongest are named, the others counted, those that are over or weak left out."""
    rates = [QualityFigure("null", f"f{n}", 1, 100, 9.0) for n in range(5)]
    rates += [QualityFigure("null", "over", 0, 100, 9.0), QualityFigure("null", "weak", 1, 100, 1.0)]
    assert strong_rates(rates, unusual=False) == "null: f0, f1, f2 and 2 more"


def test_a_cell_has_moved_only_where_something_speaks_for_it() -> None:
    """The cell with the most evidence says nothing where there is none."""
    status = drift(Watch.ARMED, Phase.DRIFTING)
    found = moved_cell(find_feature(status, "m", (2, "canary"), "age"))
    assert found is not None
    assert (found.cell, found.rises) == ("above 80", True)
    assert moved_cell(find_feature(status, "m", (2, "stable"), "age")) is None
    assert moved_cell(find_feature(status, "m", (2, "canary"), "nothing")) is None
