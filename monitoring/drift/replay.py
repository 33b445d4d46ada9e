"""What drift of a version would have notified: its stored windows through the same code as live ones.

Windows are read day by day, so that weeks of them need little memory. Pairs of features and segments are left
out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from msgspec.structs import replace

from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.backtest import ACKNOWLEDGED_AFTER_US
from driftgate.monitoring.drift.learnt_hours import learnt_hours
from driftgate.monitoring.drift.plan import DriftPlan, Judging
from driftgate.monitoring.drift.seasons import WEEK_US, WEEKS_TO_PROPOSE, SeasonalReference
from driftgate.monitoring.drift.version_drift import StreamKey, VersionDrift
from driftgate.monitoring.drift.watch import Seasons
from driftgate.monitoring.reference.profile import PairCounts, ReferenceProfile
from driftgate.monitoring.windows.pane import CountedPane, Pane, PaneKey, PaneShape

COVERED = ("drift",)
LEFT_OUT = ("dependence", "broken_data", "unusual_data", "no_data", "quiet")
"""Rules of alerts. All but the first notify without being armed, so what they would have done they did."""
PART_US = 86_400_000_000
FindCounts = Callable[[str, int, int], list[tuple[PaneKey, CountedPane]]]
"""Returns the counts of a model's windows of all rows that began in [first, end), by start."""
Panes = dict[StreamKey, Pane]


@dataclass(frozen=True)
class Replayed:
    """Which windows are judged, how, and at which evidence somebody would have been notified."""

    model: str
    version: int
    profile_id: str
    profile: ReferenceProfile
    first_us: int
    end_us: int
    target: float
    judging: Judging


class Alarmed(NamedTuple):
    """An alarm that would have been: the window that raised it, when drift began, what was named."""

    window_us: int
    onset_us: int
    features: tuple[str, ...]


class Backtest(NamedTuple):
    """The alarms, of how many windows, and whether each week was judged by the hours of the others."""

    windows: int
    by_hours: bool
    alarms: tuple[Alarmed, ...]


def backtest_version(replayed: Replayed, find: FindCounts) -> Backtest:
    """Return what would have notified, had each notification been acknowledged four hours later.

    Two weeks or more are judged by the hours of the other weeks, fewer by the reference alone: a reference
    that has seen the windows that it judges would make any back-test look too good.
    """
    weeks = _weeks(replayed, find)
    by_hours = len(weeks) >= WEEKS_TO_PROPOSE
    windows, alarms = 0, []
    for week, found in groupby(_windows(replayed, find), key=lambda one: _week(replayed, one[0])):
        hours = _others(weeks, week, replayed.judging.utc_offset_s) if by_hours else None
        replay = _Replay(replayed, hours)
        for start_us, panes in found:
            replay.take(start_us, panes)
            windows += 1
        alarms += replay.alarms
    return Backtest(windows, by_hours, tuple(alarms))


class _Replay:
    """One week through the detector."""

    def __init__(self, replayed: Replayed, hours: Seasons | None) -> None:
        profile = replace(replayed.profile, pairs=PairCounts())
        self._drift = VersionDrift(profile, DriftPlan(judging=replayed.judging), lambda segment: hours)
        self._target = replayed.target
        self._silent_until_us = 0
        self.alarms: list[Alarmed] = []

    def take(self, start_us: int, panes: Panes) -> None:
        drift = self._drift
        if self._silent_until_us and start_us >= self._silent_until_us:
            drift.forget(start_us)
            self._silent_until_us = 0
        drift.take(panes, start_us)
        drift.look(self._target, start_us)
        if not self._silent_until_us and drift.alarm.phase is Phase.DRIFTING:
            self.alarms.append(Alarmed(start_us, drift.alarm.onset_us, drift.alarm.features))
            self._silent_until_us = start_us + ACKNOWLEDGED_AFTER_US


def _windows(replayed: Replayed, find: FindCounts) -> Iterator[tuple[int, Panes]]:
    """Yield the windows of all arms together, by start."""
    for part_us in range(replayed.first_us, replayed.end_us, PART_US):
        found = find(replayed.model, part_us, min(part_us + PART_US, replayed.end_us))
        wanted = [one for one in found if _is_of(one[0], replayed)]
        for start_us, group in groupby(wanted, key=lambda one: one[0].start_us):
            yield start_us, {StreamKey(key.arm, key.segment): _pane(pane) for key, pane in group}


def _pane(counted: CountedPane) -> Pane:
    pane = Pane.empty(PaneShape(0, 0, 0))
    pane.rows, pane.counts, pane.thinned = counted.rows, counted.counts, counted.read_thinned()
    return pane


def _week(replayed: Replayed, start_us: int) -> int:
    return (start_us - replayed.first_us) // WEEK_US


def _weeks(replayed: Replayed, find: FindCounts) -> dict[int, SeasonalReference]:
    """Return what the hours of each week were like, none where there are no two whole weeks."""
    if replayed.end_us - replayed.first_us < WEEKS_TO_PROPOSE * WEEK_US:
        return {}
    thins = replayed.judging.thin == "entity"
    profile = replace(replayed.profile, pairs=PairCounts())
    windows = groupby(_windows(replayed, find), key=lambda one: _week(replayed, one[0]))
    return {
        week: learnt_hours(
            profile,
            (
                (start_us, pane.of_entities() if thins else pane)
                for start_us, panes in found
                for pane in panes.values()
            ),
            replayed.judging.utc_offset_s,
        ).cells
        for week, found in windows
    }


def _others(weeks: dict[int, SeasonalReference], week: int, utc_offset_s: int) -> Seasons:
    total = SeasonalReference(weeks[week].offsets)
    for number, reference in weeks.items():
        if number != week:
            total.merge(reference)
    return Seasons(total, utc_offset_s=utc_offset_s)


def _is_of(key: PaneKey, replayed: Replayed) -> bool:
    return (key.version, key.profile) == (replayed.version, replayed.profile_id)
