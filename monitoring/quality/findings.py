"""What alerts are told of bad data: rates that evidence names, and that are too high at the moment. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.monitoring.alerts.alert import Finding, NamedFeature, Rule
from driftgate.monitoring.drift.e_detector import Evidence, joined, named
from driftgate.monitoring.drift.figures import log10_of
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.quality.rates import QualityCounts, QualityRate

UNUSUAL = frozenset({"out_of_range", "new_value", "repeated", "refused", "stale_feature"})
"""What is possible and was not there before, or is a client's fault; everything else is broken."""
_WORSE = {"mostly_refused": "refused", "mostly_stale": "stale_feature"}
"""Of what is said once, as what is worse."""
MOST_SAID = 3
_WORDS = {
    "null": "null",
    "type_error": "of another type",
    "infinite": "infinite",
    "out_of_range": "out of range",
    "new_value": "new values",
    "constant": "one value only",
    "refused": "requests refused",
    "mostly_refused": "most requests refused",
    "failed": "requests failed",
    "repeated": "rows repeated",
    "schema": "rows with other columns",
    "stale_feature": "stale, missing or too late",
    "mostly_stale": "mostly stale, missing or too late",
}


@dataclass(frozen=True)
class ArmQuality:
    """The last window of an arm: its counts, the highest shares that are in order, and evidence so far."""

    arm: str
    window_us: int
    rates: Sequence[QualityRate]
    counts: QualityCounts
    highest: Array
    evidence: Array

    @property
    def is_high(self) -> Array:
        """Which rates of the window are higher than they should be: bool[rates]."""
        return np.asarray(self.counts.hits > self.highest * self.counts.rows)


def quality_findings(
    model: str, version: int, arms: Sequence[ArmQuality], target: float
) -> Iterator[Finding]:
    """Yield what is found in a version's arms, whose rates are one test together."""
    places = named_rates(arms, target)
    for one, found in zip(arms, places, strict=True):
        too_high = _said_once(one, [place for place in found if one.is_high[place]])
        for rule in (Rule.BROKEN_DATA, Rule.UNUSUAL_DATA):
            chosen = [place for place in too_high if _rule_of(one.rates[place]) is rule]
            if chosen:
                yield Finding(
                    rule=rule,
                    model=model,
                    version=version,
                    arm=one.arm,
                    features=tuple(_named(one, place) for place in chosen),
                    window_us=one.window_us,
                    text="; ".join(_sentence(one, place) for place in chosen[:MOST_SAID]),
                )


def named_rates(arms: Sequence[ArmQuality], target: float) -> list[list[int]]:
    """Return for each arm the places of the rates that evidence names, the strongest first."""
    found: list[list[int]] = [[] for _ in arms]
    if arms:
        evidence = joined([Evidence(one.evidence, 0.0) for one in arms])
        where = [(number, place) for number, one in enumerate(arms) for place in range(len(one.rates))]
        for at in named(evidence, target).tolist() if evidence.model >= target else ():
            number, place = where[at]
            found[number].append(place)
    return found


def _said_once(one: ArmQuality, places: list[int]) -> list[int]:
    rates = [one.rates[place] for place in places]
    worse = {(_WORSE[rate.reason], rate.feature) for rate in rates if rate.reason in _WORSE}
    return [place for place, rate in zip(places, rates, strict=True) if rate not in worse]


def _rule_of(rate: QualityRate) -> Rule:
    return Rule.UNUSUAL_DATA if rate.reason in UNUSUAL else Rule.BROKEN_DATA


def _named(one: ArmQuality, place: int) -> NamedFeature:
    rate = one.rates[place]
    what = _WORDS.get(rate.reason, rate.reason)
    return NamedFeature(rate.feature, what, log10_of(float(one.evidence[place])) or 0.0)


def _sentence(one: ArmQuality, place: int) -> str:
    rate, hits, rows = one.rates[place], int(one.counts.hits[place]), int(one.counts.rows[place])
    what = _WORDS.get(rate.reason, rate.reason)
    subject = f"{rate.feature} is {what}" if rate.feature else what
    return f"{subject} in {hits} of {rows}, where {one.highest[place]:.2%} would be in order"
