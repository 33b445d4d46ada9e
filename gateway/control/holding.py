"""Which versions of a model stay loaded, how its arms are called, and where a rollback goes. Pure.

Whatever has traffic, is about to get it, or is where a rollback would go is never dropped, whatever the
registry shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.gateway.routing.intervals import owned_by, with_intervals
from driftgate.gateway.state.desired import TOTAL_PPM, Arm, DesiredModel, TrafficSplit

ROLLBACK_DEPTH = 2
MAX_HISTORY = 16


@dataclass(frozen=True)
class Labels:
    """The derived names of versions: `stable` has most traffic, `canary` is the one beside it, `latest` the
    newest that is held.
    """

    stable: int | None
    latest: int | None
    canary: int | None = None


def labels_of(model: DesiredModel) -> Labels:
    """Return which versions the labels stand for now."""
    latest = max((held.version for held in model.held), default=None)
    return Labels(model.split.stable, latest, model.split.canary)


def versions_needed(model: DesiredModel) -> frozenset[int]:
    """Return the versions that are held whatever the policy says.

    These have weight, are shadows, part of a running change, pinned, or the last two that had all traffic.
    """
    if model.unloaded:
        return frozenset()
    changing = {arm.version for arm in model.change.arms} if model.change else set()
    coming = model.change.shadows or () if model.change else ()
    shadows = {shadow.version for shadow in (*model.shadows, *coming)}
    pinned = {model.pinned} if model.pinned else set()
    return model.split.versions | shadows | changing | pinned | set(model.history[:ROLLBACK_DEPTH])


def versions_to_hold(model: DesiredModel, available: tuple[int, ...]) -> frozenset[int]:
    """Return every version to hold when the policy may choose among the `available` ones."""
    if model.unloaded:
        return frozenset()
    return versions_needed(model) | model.settings.versions.wanted(available)


def sole_version(split: TrafficSplit) -> int | None:
    """Return the version that has all traffic, or None."""
    return next((arm.version for arm in split.arms if arm.weight_ppm == TOTAL_PPM), None)


def rollback_target(model: DesiredModel) -> int | None:
    """Return the last version that had all traffic before what is served now, or None.

    While a canary has a share or a change is running, that is the version which had all traffic before; a
    second call during a rollback goes to the same version. One that is loaded and was not ejected is
    preferred to one that would have to be brought back first.
    """
    if model.change:
        return model.change.pin or next(iter(model.history), None)
    now = sole_version(model.split)
    earlier = [version for version in model.history if version != now]
    sound = (v for v in earlier if model.held_version(v) and v not in model.ejected_versions)
    return next(sound, earlier[0] if earlier else None)


def history_after(history: tuple[int, ...], version: int, rolled_back: bool) -> tuple[int, ...]:
    """Return the history once `version` has all traffic.

    A rollback forgets what it rolled back from: the next rollback must not return there.
    """
    if rolled_back and version in history:
        return history[history.index(version) :]
    return (version, *(old for old in history if old != version))[:MAX_HISTORY]


def arms_for(weights: Mapping[int, int], present: TrafficSplit) -> tuple[Arm, ...]:
    """Return the named arms of `weights` (version to ppm); versions without weight are left out.

    Keys move only into arms that grow, out of arms that shrink. The version with most traffic is `stable`; a
    second one is `canary`.
    """
    known = [arm.version for arm in present.arms if weights.get(arm.version)]
    order = [*known, *sorted(v for v, weight in weights.items() if weight and v not in known)]
    stable = max(order, key=lambda version: weights[version], default=None)
    other = "canary" if len(order) == 2 else "v{}"
    arms = tuple(
        Arm("stable" if version == stable else other.format(version), version, weights[version])
        for version in order
    )
    return with_intervals(arms, owned_by(present.arms))
