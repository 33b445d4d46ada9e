"""Which versions get no rows any more because they harm: pure, from evidence alone.

The version with the most traffic is never ejected, nor anybody on evidence that points at it as much. An
ejected version keeps its place in the split: the stable one answers in its place until an operator says
otherwise, and then the same keys have it again.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from driftgate.gateway.control.evidence import Count, CountLook, Evidence
from driftgate.gateway.control.facts import Facts
from driftgate.gateway.errors import Conflict
from driftgate.gateway.state.crashes import Crash
from driftgate.gateway.state.desired import DesiredModel, Shadow

CRASH_WINDOW_S = 3600.0
REPEATED = 2
"""Crashes that prove something where a single one might be chance."""
LEAST_ANSWERS = 20
THROUGHOUT = 0.95
SOUND = 0.5
"""A stable version with a larger share of non-finite answers says that the inputs are to blame."""
UNLOADABLE_S = 3.0
"""Time to fetch a damaged copy anew, and to try again."""


def eject(name: str, model: DesiredModel, facts: Facts) -> tuple[DesiredModel, list[str]]:
    """Return the model without rows for what harms, and what to say of it; a change towards it has failed."""
    found = harmful(name, model, facts)
    if not found:
        return model, []
    texts = {str(version): why for version, why in found.items()}
    change = model.change
    if change and found.keys() & {*(arm.version for arm in change.arms), *_shadowed(change.shadows or ())}:
        change = None
    ejected = replace(
        model,
        ejected=model.ejected | texts,
        refused=model.refused | {version: f"ejected: {why}" for version, why in texts.items()},
        change=change,
    )
    return ejected, [
        f"version {version} of {name} is ejected, version {model.split.stable} answers in its place: {why}"
        for version, why in found.items()
    ]


def harmful(name: str, model: DesiredModel, facts: Facts) -> dict[int, str]:
    """Return why versions of a model are to get no rows from now on; the stable one is never among them."""
    stable, evidence = model.split.stable, facts.evidence
    if stable is None or f"{name}/{stable}" in evidence.unloadable_s:
        return {}
    suspects = (model.split.versions | set(_shadowed(model.shadows))) - model.ejected_versions - {stable}
    reasons = {
        version: _reason(f"{name}/{version}", f"{name}/{stable}", model.evidence_since, facts)
        for version in sorted(suspects)
    }
    return {version: why for version, why in reasons.items() if why}


def check_not_ejected(name: str, model: DesiredModel, versions: Iterable[int]) -> None:
    """Raise Conflict if some of the versions is ejected."""
    for version in versions:
        why = model.ejected.get(str(version))
        if why:
            raise Conflict(f"version {version} of {name} was ejected: {why} (force gives it traffic again)")


def still_ejected(model: DesiredModel, changed: str) -> dict[str, str]:
    """Return what stays ejected once the "arms" or the "shadows" were set: the others."""
    others = set(_shadowed(model.shadows)) if changed == "arms" else model.split.versions
    return {version: why for version, why in model.ejected.items() if int(version) in others}


def crash_reason(version: str, stable: str, crashes: Sequence[Crash]) -> str:
    """Return what crashes say against `version`, empty if nothing.

    One crash is enough if it ran alone and the signal was not sent from outside; otherwise two, if no other
    version ran in all of them. What ran in no more crashes than `stable` is not to blame.
    """
    its = [crash for crash in crashes if version in crash.running]
    if len(its) <= sum(stable in crash.running for crash in crashes):
        return ""
    alone = any(set(crash.running) == {version} and crash.own_fault for crash in its)
    always = frozenset.intersection(*(frozenset(crash.running) for crash in its))
    if not alone and (len(its) < REPEATED or always != {version}):
        return ""
    times = "a worker" if len(its) == 1 else f"{len(its)} workers"
    return f"{times} ended while computing with it, the last by {its[-1].ending}"


def nonfinite_reason(version: str, stable: str, looks: Sequence[CountLook]) -> str:
    """Return why the latest answers of `version` disqualify it: (nearly) all held NaN or infinity."""
    count, other = recent_count(version, looks), recent_count(stable, looks)
    if max(count) < LEAST_ANSWERS or count.nonfinite < THROUGHOUT * max(count):
        return ""
    if other.nonfinite > SOUND * max(other):
        return ""
    return f"{count.nonfinite} of its last {max(count)} answers held NaN or infinity"


def recent_count(version: str, looks: Sequence[CountLook]) -> Count:
    """Return what was counted since the latest look with LEAST_ANSWERS after it; else since the first."""
    found = Count(0, 0)
    for look in reversed(looks[:-1]):
        now, then = (one.counts.get(version, Count(0, 0)) for one in (looks[-1], look))
        found = Count(now.answers - then.answers, now.nonfinite - then.nonfinite)
        if max(found) >= LEAST_ANSWERS:
            break
    return found


def _reason(version: str, stable: str, since: int, facts: Facts) -> str:
    evidence: Evidence = facts.evidence
    crashes = [c for c in evidence.crashes if c.generation >= since and facts.now - c.at < CRASH_WINDOW_S]
    looks = [look for look in evidence.looks if look.generation >= since]
    if evidence.unloadable_s.get(version, 0.0) >= UNLOADABLE_S:
        return "no worker can load it"
    return crash_reason(version, stable, crashes) or nonfinite_reason(version, stable, looks)


def _shadowed(shadows: Iterable[Shadow]) -> Iterable[int]:
    return (shadow.version for shadow in shadows)
