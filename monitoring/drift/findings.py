"""What alerts are told of a version's drift: a finding for each stream in which something is named. Pure."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from driftgate.monitoring.alerts.alert import Finding, NamedFeature, Rule
from driftgate.monitoring.drift.alarm import DriftAlarm, Phase
from driftgate.monitoring.drift.figures import log10_of
from driftgate.monitoring.drift.version_drift import Named, StreamKey, Test, VersionDrift

MOST_SEGMENTS = 5
"""Of an arm in which nothing is named over all rows."""


def drift_findings(model: str, version: int, drift: VersionDrift, target: float) -> list[Finding]:
    """Return what is found as long as an alarm has not ended, if it is armed."""
    phases = {drift.alarm.phase, drift.pair_alarm.phase}
    if not drift.plan.notifies or phases == {Phase.QUIET}:
        return []
    maker = _Maker(model, version, drift)
    found: list[Finding] = []
    if drift.alarm.phase is not Phase.QUIET:
        found += maker.findings(Rule.DRIFT, drift.alarm, drift.features(target))
    if drift.pair_alarm.phase is not Phase.QUIET:
        found += maker.findings(Rule.DEPENDENCE, drift.pair_alarm, drift.pairs(target))
    return found


class _Maker:
    def __init__(self, model: str, version: int, drift: VersionDrift) -> None:
        self._subject = model, version
        self._drift = drift

    def findings(self, rule: Rule, alarm: DriftAlarm, test: Test) -> Iterator[Finding]:
        """Yield a finding for each arm, or its segments; of one that has subsided one for the version."""
        streams = _told({one.stream for one in test.named})
        name = self._feature if rule is Rule.DRIFT else self._pair
        for key in streams:
            named = [one for one in test.named if one.stream == key]
            yield self._finding(rule, alarm, key, [name(one) for one in named])
        if not streams:
            yield self._finding(rule, alarm, StreamKey("", ""), [])

    def _finding(self, rule: Rule, alarm: DriftAlarm, key: StreamKey, named: list[NamedFeature]) -> Finding:
        model, version = self._subject
        return Finding(
            rule=rule,
            model=model,
            version=version,
            arm=key.arm,
            segment=key.segment,
            features=tuple(named),
            window_us=self._drift.last_us,
            onset_us=alarm.onset_us,
            text=_sentence(rule, alarm, [one.feature for one in named], key.segment),
        )

    def _feature(self, one: Named) -> NamedFeature:
        way = "more" if one.moved.rises else "fewer"
        what = f"{way} rows {self._drift.cell_name(one.place, one.moved.cell)}"
        return NamedFeature(self._drift.feature_name(one.place), what, log10_of(one.evidence) or 0.0)

    def _pair(self, one: Named) -> NamedFeature:
        what = "go together more often" if one.moved.rises else "go together less often"
        return NamedFeature(self._drift.pair_name(one.place), what, log10_of(one.evidence) or 0.0)


def _told(streams: set[StreamKey]) -> list[StreamKey]:
    """Return the streams to tell of: of an arm all rows, where that says it; else its first segments."""
    whole = {key.arm for key in streams if not key.segment}
    found = [key for key in sorted(streams) if not key.segment]
    for arm in sorted({key.arm for key in streams} - whole):
        found += [key for key in sorted(streams) if key.arm == arm][:MOST_SEGMENTS]
    return found


_SUBJECT: dict[Rule, Callable[[str], str]] = {
    Rule.DRIFT: lambda names: f"the distribution of {names} is not that of the reference",
    Rule.DEPENDENCE: lambda names: f"how {names} depend on each other is not as in the reference",
}


def _sentence(rule: Rule, alarm: DriftAlarm, names: list[str], segment: str) -> str:
    said = ", ".join(names or alarm.features) + (f" in {segment}" if segment else "")
    since = datetime.fromtimestamp((alarm.onset_us or alarm.since_us) / 1e6, UTC)
    over = "" if alarm.phase is Phase.DRIFTING else "; evidence has fallen since, nobody acknowledged it"
    return f"{_SUBJECT[rule](said)} since about {since:%Y-%m-%d %H:%M} UTC{over}"
