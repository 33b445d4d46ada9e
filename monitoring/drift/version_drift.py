"""The drift of one version under one reference: evidence of all its arms and segments, and two alarms. Pure.

Evidence of all streams is joined, so that a version is one test of its features and one of their pairs,
however many arms and segments it has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftgate.monitoring.drift.alarm import DriftAlarm, Event, Look, Phase, ended, looked
from driftgate.monitoring.drift.dependence import pair_at
from driftgate.monitoring.drift.e_detector import Evidence, MovedCell, joined, named
from driftgate.monitoring.drift.plan import DriftPlan
from driftgate.monitoring.drift.watch import DriftWatch, Seasons, WatchSettings
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.pane import Pane


class StreamKey(NamedTuple):
    """One stream of a version's windows; the segment of all rows is empty."""

    arm: str
    segment: str


class Named(NamedTuple):
    """A feature, or a pair, of one stream: its place there, its evidence, and how it moved."""

    stream: StreamKey
    place: int
    evidence: float
    moved: MovedCell


class Stream:
    """A stream: its watch and evidence, when its last window began, and how many rows that had."""

    def __init__(self, watch: DriftWatch) -> None:
        self.watch = watch
        self.start_us = self.rows = 0
        self.weigh()

    def weigh(self) -> None:
        """Work out the evidence anew, once for all who ask."""
        self.features, self.pairs = self.watch.evidence(), self.watch.pair_evidence()

    def take(self, pane: Pane, window_us: int) -> None:
        """Take in a window."""
        self.watch.update(pane, window_us)
        self.start_us, self.rows = window_us, pane.rows
        self.weigh()


@dataclass(frozen=True)
class Test:
    """Evidence of features, or of pairs, over all streams, and those that are named at the target."""

    evidence: float
    named: tuple[Named, ...]


Learn = Callable[[str], Seasons | None]
"""Returns the hours of the week of a segment, None where the reference alone judges."""


class VersionDrift:
    """Evidence and alarms of a version: `take` windows in the order of time, then `look`."""

    def __init__(self, profile: ReferenceProfile, plan: DriftPlan, learn: Learn) -> None:
        self.profile = profile
        self.plan = plan
        self.streams: dict[StreamKey, Stream] = {}
        self.alarm = DriftAlarm()
        self.pair_alarm = DriftAlarm()
        self.forgotten_us = plan.forget_us
        self.first_us = 0
        self.last_us = 0
        self._learn = learn
        self._cell_names: dict[int, tuple[str, ...]] = {}

    @property
    def is_tested(self) -> bool:
        """Whether anything can be said of drift."""
        return self.profile.rows > 0 and self.plan.is_watched

    @property
    def tests(self) -> int:
        """How many tests there are: of features, and of their pairs."""
        return (1 + (len(self.profile.pairs.features) > 1)) if self.is_tested else 0

    def obey(self, plan: DriftPlan) -> None:
        """Follow a plan of the same judging."""
        self.plan = plan
        self.forget(plan.forget_us)

    def forget(self, before_us: int) -> None:
        """Let windows that began before a time count no more, and end the alarms."""
        if before_us <= self.forgotten_us:
            return
        self.forgotten_us = before_us
        for stream in self.streams.values():
            stream.watch.reset()
            stream.weigh()
        self.alarm = ended(self.alarm, Event.NEW_REFERENCE)
        self.pair_alarm = ended(self.pair_alarm, Event.NEW_REFERENCE)

    def stream(self, key: StreamKey) -> Stream:
        """Return a stream, which begins if it is new."""
        found = self.streams.get(key)
        if found is None:
            judging = self.plan.judging
            settings = WatchSettings(judging.tolerance, one_observation=judging.thin == "window")
            watch = DriftWatch(self.profile, settings, self._learn(key.segment))
            found = self.streams[key] = Stream(watch)
        return found

    def judges(self, key: StreamKey) -> bool:
        """Tell whether there is something that a stream can be compared with.

        A segment is unlike all rows by design: only hours of its own can judge it.
        """
        return not key.segment or key in self.streams or self._learn(key.segment) is not None

    def take(self, panes: Mapping[StreamKey, Pane], window_us: int) -> None:
        """Take in the windows of all streams that began then, and that can be judged."""
        self.first_us = self.first_us or window_us
        self.last_us = window_us
        if self.is_tested and window_us >= self.forgotten_us:
            thins = self.plan.judging.thin == "entity"
            for key in filter(self.judges, sorted(panes)):
                self.stream(key).take(panes[key].of_entities() if thins else panes[key], window_us)

    def look(self, target: float, window_us: int) -> None:
        """Let the alarms see the evidence after a window."""
        features = self.features(target)
        self.alarm = looked(self.alarm, _look(features, target, window_us, self.feature_name))
        pairs = self.pairs(target)
        if np.isnan(pairs.evidence) and self.pair_alarm.phase is not Phase.QUIET:
            self.pair_alarm = ended(self.pair_alarm, Event.NEW_REFERENCE)
        self.pair_alarm = looked(self.pair_alarm, _look(pairs, target, window_us, self.pair_name))

    def features(self, target: float) -> Test:
        """Return what the features show."""
        found = {key: stream.features for key, stream in self.streams.items()}
        return _test(found, target, lambda key, place: self.streams[key].watch.moved(place))

    def pairs(self, target: float) -> Test:
        """Return what the pairs show; those of a feature that itself drifts say nothing of dependence.

        A feature does from the root of the target on: half the way, in logarithms. Where only such pairs are
        named, the evidence is not known (NaN).
        """
        found = {key: stream.pairs for key, stream in self.streams.items() if stream.pairs is not None}
        test = _test(found, target, lambda key, place: self.streams[key].watch.pair_moved(place))
        telling = tuple(one for one in test.named if not self._drifts(one, target**0.5))
        return Test(test.evidence if telling or not test.named else float("nan"), telling)

    def _drifts(self, pair: Named, least: float) -> bool:
        names, evidence = set(self.pair_names(pair.place)), self.streams[pair.stream].features.features
        return any(evidence[at] >= least for at, one in enumerate(self.profile.features) if one.name in names)

    def feature_name(self, place: int) -> str:
        """Return the name of a feature."""
        return self.profile.features[place].name

    def cell_name(self, place: int, cell: int) -> str:
        """Return the name of a feature's cell."""
        if place not in self._cell_names:
            self._cell_names[place] = self.profile.features[place].cells.names
        return self._cell_names[place][cell]

    def pair_name(self, place: int) -> str:
        """Return what a pair is called."""
        return " and ".join(self.pair_names(place))

    def pair_names(self, place: int) -> tuple[str, str]:
        """Return the names of a pair's features."""
        names = self.profile.pairs.features
        first, second = pair_at(place, len(names))
        return names[first], names[second]


def _look(test: Test, target: float, window_us: int, name_of: Callable[[int], str]) -> Look:
    onset_us = test.named[0].moved.onset_us if test.named else 0
    names = tuple(dict.fromkeys(name_of(one.place) for one in test.named))
    return Look(window_us, test.evidence, target, names, onset_us)


def _test(
    found: Mapping[StreamKey, Evidence], target: float, moved: Callable[[StreamKey, int], MovedCell]
) -> Test:
    if not found:
        return Test(float("nan"), ())
    all_streams = next(iter(found.values())) if len(found) == 1 else joined(found.values())
    if not all_streams.model >= target:  # then nothing is named
        return Test(all_streams.model, ())
    places = [(key, place) for key, one in found.items() for place in range(len(one.features))]
    chosen = named(all_streams, target).tolist()
    return Test(
        all_streams.model,
        tuple(
            Named(key, place, float(all_streams.features[at]), moved(key, place))
            for at in chosen
            for key, place in (places[at],)
        ),
    )
