"""How a running change of traffic ends: committed, given a second try, or failed as a whole. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from driftgate.gateway.control.ejection import still_ejected
from driftgate.gateway.control.facts import Facts
from driftgate.gateway.control.holding import history_after, sole_version
from driftgate.gateway.state.desired import Change, DesiredModel, DesiredState
from driftgate.gateway.state.status import SlotStatus


@dataclass(frozen=True)
class Step:
    """A model's next value, who is behind it, why, and which worker incarnations it retires."""

    model: DesiredModel
    who: str = ""
    why: str = ""
    retired_boots: tuple[str, ...] = ()


def progress(
    name: str, model: DesiredModel, blocked: Mapping[int, str], desired: DesiredState, facts: Facts
) -> Step:
    """Return the model with its change one step further, or as it is while there is something to wait for.

    `desired` is the committed state that the slots answer to; `blocked` says why a version cannot be held.
    """
    change = model.change
    if change is None:
        return Step(model)
    missing = sorted(version for version in _needed(change) if model.held_version(version) is None)
    if missing:
        reason = next((blocked[version] for version in missing if version in blocked), "")
        if not reason and facts.now >= change.deadline:
            reason = "it was not copied and checked in time"
        return _fail(model, change, missing, reason) if reason else Step(model)
    behind = _members_behind(name, change, desired, facts)
    if not behind and (facts.members or _unopposed(model, change)):
        return _commit(model, change, desired.generation + 1)
    if facts.now < change.deadline:
        return Step(model)
    if behind and not change.replaced:
        return _replace_members(model, change, behind, facts)
    return _fail(model, change, sorted(_needed(change) - _in_use(model)), _why_not(name, behind))


def _needed(change: Change) -> frozenset[int]:
    return frozenset(arm.version for arm in change.arms) | {shadow.version for shadow in change.shadows or ()}


def _in_use(model: DesiredModel) -> frozenset[int]:
    return model.split.versions | {shadow.version for shadow in model.shadows}


def _members_behind(name: str, change: Change, desired: DesiredState, facts: Facts) -> tuple[SlotStatus, ...]:
    """Return the members that do not hold every needed version of the committed state.

    What a member said before it saw the newest generation does not count: it may be unloading by now.
    """
    committed = desired.models.get(name)
    held = [committed.held_version(version) if committed else None for version in sorted(_needed(change))]
    return tuple(
        slot
        for slot in facts.members
        if slot.generation < desired.generation
        or not all(version and _is_ready(slot, name, version.digest) for version in held)
    )


def _is_ready(slot: SlotStatus, name: str, digest: str) -> bool:
    status = slot.state_of(name, digest)
    return status is not None and status.state == "READY"


def _unopposed(model: DesiredModel, change: Change) -> bool:
    """Whether a change may be committed while nobody accepts requests.

    A model without traffic can lose nothing, and a version that had all traffic before has proven itself: a
    rollback must work while the present version keeps every worker from starting. Any other might be why
    there are no members.
    """
    return not model.split.arms or _needed(change) <= set(model.history)


def _commit(model: DesiredModel, change: Change, generation: int) -> Step:
    """Return the model with its change in force from `generation` on; what harmed before may try again."""
    split = change.applied_to(model.split)
    sole = sole_version(split)
    history = model.history
    shadows = model.shadows if change.shadows is None else change.shadows
    if sole is not None:
        history = history_after(history, sole, rolled_back=change.pin is not None)
    pinned = model.pinned if change.pin is None else change.pin
    after = replace(
        model,
        split=split,
        shadows=tuple(shadow for shadow in shadows if shadow.version != sole),
        change=None,
        history=history,
        pinned=pinned,
        evidence_since=generation,
    )
    ejected = still_ejected(after, "arms" if change.shadows is None else "shadows")
    return Step(replace(after, ejected=ejected), change.who, change.why)


def _replace_members(
    model: DesiredModel, change: Change, behind: tuple[SlotStatus, ...], facts: Facts
) -> Step:
    again = replace(change, replaced=True, deadline=facts.now + facts.limits.prepare_timeout_s)
    boots = tuple(slot.boot for slot in behind)
    why = f"{len(boots)} of {len(facts.members)} workers could not prepare and are replaced: {change.why}"
    return Step(replace(model, change=again), change.who, why, boots)


def _fail(model: DesiredModel, change: Change, versions: list[int], reason: str) -> Step:
    refused = model.refused | {str(version): reason for version in versions}
    named = ", ".join(map(str, versions)) or "change"
    why = f"not done: {change.why}: version {named}: {reason}"
    return Step(replace(model, change=None, refused=refused), change.who, why)


def _why_not(name: str, behind: tuple[SlotStatus, ...]) -> str:
    if not behind:
        return "no worker accepted requests until the deadline"
    reasons = sorted({v.reason for slot in behind for v in slot.versions if v.model == name and v.reason})
    slots = ", ".join(str(slot.slot) for slot in behind)
    return f"slot {slots} could not prepare it in time" + (f": {'; '.join(reasons)}" if reasons else "")
