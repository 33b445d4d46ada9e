"""What the first page says: every model and arm with one word, its traffic and its last window. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from driftgate.gateway.control.model_report import ModelReport
from driftgate.gateway.dashboard.arm_state import (
    BAD_LOG10,
    MINUTE_US,
    ArmFacts,
    ArmState,
    arm_states,
    old_after_us,
)
from driftgate.gateway.dashboard.traffic_meter import VersionTraffic
from driftgate.monitoring.book.follower_status import FollowerStatus
from driftgate.monitoring.quality.findings import UNUSUAL
from driftgate.monitoring.windows.window_status import QualityFigure, WindowFigures, WindowStatus

ArmKey = tuple[str, int, str]
"""Model, version and arm."""
MOST_NAMED = 3


class ArmOverview(msgspec.Struct, frozen=True):
    """One arm; `also` is what was found beside its state, most urgent first.

    `percent` is None for rows outside of the split, as those of a shadow.

    `window_us` is when its newest window began, in Unix microseconds (0: none); `window_rows` are its rows.
    `log10_evidence` is that of its `strongest` feature for drift, None where nothing can be said.
    """

    arm: str
    version: int
    percent: float | None
    state: ArmState
    traffic: VersionTraffic
    window_us: int
    window_rows: int
    log10_evidence: float | None = None
    strongest: str = ""
    named: tuple[str, ...] = ()
    also: tuple[ArmState, ...] = ()


class ModelOverview(msgspec.Struct, frozen=True):
    """One model and its arms; `problems` are those of its versions and settings."""

    name: str
    owner: str
    description: str
    arms: tuple[ArmOverview, ...]
    problems: tuple[str, ...]


class GatewayOverview(msgspec.Struct, frozen=True):
    """How the machine's processes fare. Rows dropped by the prediction log are counted since it exists."""

    generation: int
    workers: int
    accepting: int
    monitor_lag_s: float | None
    dropped_rows: int
    late_rows: int
    problems: tuple[str, ...]


class OverviewAnswer(msgspec.Struct, frozen=True):
    """All of it at one moment, in Unix microseconds."""

    at_us: int
    gateway: GatewayOverview
    models: tuple[ModelOverview, ...]


@dataclass(frozen=True)
class DriftWord:
    """What is said of an arm: the strongest evidence, what is `named`, and since when (0: unknown)."""

    log10_evidence: float | None = None
    strongest: str = ""
    named: tuple[str, ...] = ()
    since_us: int = 0
    is_alarm: bool = False
    is_observed: bool = False


@dataclass(frozen=True)
class Seen:
    """One look at what monitor and workers say. `last` are start and rows of each arm's newest window."""

    now_us: int
    window_length_us: int = MINUTE_US
    monitor: FollowerStatus | None = None
    windows: WindowStatus | None = None
    last: Mapping[ArmKey, tuple[int, int]] = field(default_factory=dict)
    traffic: Mapping[tuple[str, int], VersionTraffic] = field(default_factory=dict)
    drift: Mapping[ArmKey, DriftWord] = field(default_factory=dict)


def overview_of(reports: Iterable[ModelReport], seen: Seen) -> tuple[ModelOverview, ...]:
    """Return what is said of every model."""
    figures = {
        (one.model, one.version, one.arm): one for one in (seen.windows.figures if seen.windows else ())
    }
    return tuple(
        ModelOverview(
            report.name,
            report.owner,
            report.description,
            tuple(_arm(report.name, arm, seen, figures) for arm in _arms(report, seen)),
            report.problems,
        )
        for report in reports
    )


def _arms(report: ModelReport, seen: Seen) -> list[tuple[str, int, float | None]]:
    """Return the arms of the split, then those outside of it that had rows lately."""
    split = [(arm.name, arm.version, arm.percent) for arm in report.traffic]
    known = {(name, version) for name, version, _ in split}
    others = [
        (arm, version, None)
        for (model, version, arm), (start_us, _) in sorted(seen.last.items())
        if model == report.name
        and (arm, version) not in known
        and seen.now_us - start_us < old_after_us(seen.window_length_us)
    ]
    return [*split, *others]


def _arm(
    model: str, arm: tuple[str, int, float | None], seen: Seen, figures: Mapping[ArmKey, WindowFigures]
) -> ArmOverview:
    name, version, percent = arm
    key = (model, version, name)
    figure, drift = figures.get(key), seen.drift.get(key, DriftWord())
    window_us, rows = seen.last.get(key, (0, 0))
    facts = ArmFacts(
        model=model,
        version=version,
        now_us=seen.now_us,
        window_length_us=seen.window_length_us,
        monitor_at_us=seen.monitor.at_us if seen.monitor else 0,
        window_us=window_us,
        source=figure.source if figure else "",
        waiting=figure is None,
        drifting=", ".join(drift.named) if drift.is_alarm else "",
        drifting_since_us=drift.since_us,
        bad=strong_rates(figure.quality, False) if figure else "",
        unusual=strong_rates(figure.quality, True) if figure else "",
        observing=drift.is_observed,
    )
    state, *also = arm_states(facts)
    return ArmOverview(
        arm=name,
        version=version,
        percent=percent,
        state=state,
        also=tuple(also),
        traffic=seen.traffic.get((model, version), VersionTraffic()),
        window_us=window_us,
        window_rows=rows,
        log10_evidence=drift.log10_evidence,
        strongest=drift.strongest,
        named=drift.named,
    )


def strong_rates(figures: Iterable[QualityFigure], unusual: bool) -> str:
    """Name the rates of broken, or of unusual, data with strong evidence that are not 0, strongest first."""
    strong = [one for one in figures if one.log10_evidence >= BAD_LOG10 and one.hits]
    chosen = [one for one in strong if (one.reason in UNUSUAL) is unusual]
    reasons: dict[str, list[str]] = {}
    for one in chosen[:MOST_NAMED]:
        reasons.setdefault(one.reason.replace("_", " "), []).extend(filter(None, [one.feature]))
    named = [f"{reason}: {', '.join(features)}".removesuffix(": ") for reason, features in reasons.items()]
    more = len(chosen) - MOST_NAMED
    return "; ".join(named) + (f" and {more} more" if more > 0 else "")
