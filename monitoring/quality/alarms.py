"""Findings of bad data and of silence, kept between windows."""

from collections.abc import Callable, Mapping, Sequence

from driftgate.monitoring.alerts.alert import Finding, Rule
from driftgate.monitoring.alerts.book import RESOLVE_AFTER_US
from driftgate.monitoring.quality.findings import ArmQuality, named_rates, quality_findings
from driftgate.monitoring.quality.silence import Silence
from driftgate.monitoring.quality.silence_watch import ModelArm

FINE_WINDOWS = 15
"""After so many windows in order in a row evidence of an earlier fault is forgotten."""
TargetOf = Callable[[str], float]


class QualityAlarms:
    """What was found in the last windows of each version, and of silent arms."""

    def __init__(self, target_of: TargetOf) -> None:
        self._target_of = target_of
        self._found: dict[tuple[str, int], list[Finding]] = {}
        self._silent: list[Finding] = []
        self._fine: dict[tuple[str, int], int] = {}

    def take(self, model: str, version: int, arms: Sequence[ArmQuality]) -> bool:
        """Take in the last windows of a version's arms; return whether its evidence is to be forgotten."""
        key, target = (model, version), self._target_of(model)
        self._found[key] = list(quality_findings(model, version, arms, target))
        is_named = any(named_rates(arms, target))
        self._fine[key] = self._fine.get(key, 0) + 1 if is_named and not self._found[key] else 0
        return self._fine[key] >= FINE_WINDOWS

    def take_silence(
        self, arms: Mapping[ModelArm, Silence], versions: Mapping[ModelArm, int], sealed_us: int
    ) -> None:
        """Take in which arms are silent, and the versions that they had; forget evidence of what is over."""
        self._silent = []
        for key, silence in arms.items():
            target = self._target_of(key.model)
            rule = _rule_of(silence, target)
            if rule and silence.run:
                text = (
                    f"arm {key.arm} of {key.model} had no rows in the last {silence.run} windows{_WHEN[rule]}"
                )
                found = Finding(
                    rule=rule,
                    model=key.model,
                    version=versions.get(key, 0),
                    arm=key.arm,
                    window_us=sealed_us,
                    onset_us=silence.since_us,
                    text=text,
                )
                self._silent.append(found)
            elif rule and silence.full >= FINE_WINDOWS:
                silence.forget()

    def findings(self, sealed_us: int) -> list[Finding]:
        """Return what is found now; what is older than a while says nothing any more."""
        fresh_us = sealed_us - RESOLVE_AFTER_US
        found = [one for each in self._found.values() for one in each if one.window_us >= fresh_us]
        return found + self._silent


_WHEN = {Rule.NO_DATA: "", Rule.QUIET: "; whether that is usual at this time of the week is not known yet"}


def _rule_of(silence: Silence, target: float) -> Rule | None:
    if silence.evidence >= target:
        return Rule.NO_DATA
    return Rule.QUIET if silence.early_evidence >= target else None
