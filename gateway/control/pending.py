"""Waiting for what an operator asked for: until it is in force, has failed, or patience ends.

State is looked at, not listened to: whoever commits, and however often, the answer is about what is there.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from driftgate.gateway.control.decide import propose
from driftgate.gateway.control.facts import VersionKey
from driftgate.gateway.control.plan import versions_to_verify
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.errors import BadRequest, Conflict
from driftgate.gateway.state.desired import Arm, DesiredModel
from driftgate.gateway.state.status import SlotStatus

POLL_S = 0.01
FOLLOW_S = 1.0
"""Workers follow within 50 ms; one that does not may be stopped, and nobody need wait for it."""

Outcome = Literal["committed", "pending"]


async def until(done: Callable[[], bool], patience_s: float) -> bool:
    """Wait until `done` says so; return False if patience ends first."""
    deadline = time.monotonic() + patience_s
    while not done():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def change_ended(reconciler: Reconciler, name: str, asked: DesiredModel, patience_s: float) -> Outcome:
    """Wait until the change that was asked for has ended; raise Conflict if it failed or was replaced."""
    if asked.change is None:
        return "committed"
    wanted = asked.change.arms
    if not await until(lambda: _running(reconciler, name) != wanted, patience_s):
        return "pending"
    model = reconciler.desired.models.get(name)
    shadows = asked.change.shadows
    if model and model.split.arms == wanted and shadows in (None, model.shadows):
        return "committed"
    for version in (*(arm.version for arm in wanted), *(shadow.version for shadow in shadows or ())):
        reason = model.refused.get(str(version)) if model else None
        if reason:
            raise Conflict(f"version {version} of {name} got no traffic: {reason}")
    raise Conflict(f"the change of {name} was replaced by another one before it came into force")


async def looked_again(reconciler: Reconciler, patience_s: float) -> None:
    """Wait until the registry has been looked at once more."""
    look = reconciler.registry.rescan()
    await until(lambda: reconciler.registry.looks >= look, patience_s)


async def loaded(reconciler: Reconciler, name: str, patience_s: float) -> Outcome:
    """Wait until everything of a model that is to be held is READY in every member.

    Raises BadRequest with the reason if a version cannot be loaded; what was served before is still served.
    """
    in_time = await until(lambda: _is_loaded(reconciler, name), patience_s)
    reasons = {key.version: why for key, why in reconciler.facts().failed.items() if key.model == name}
    if reasons:
        newest = max(reasons)
        raise BadRequest(f"load failed for model '{name}': version {newest}: {reasons[newest]}")
    return "committed" if in_time else "pending"


async def in_force(reconciler: Reconciler, patience_s: float) -> bool:
    """Wait, for a moment, until every member serves by the generation that is the newest now."""
    generation = reconciler.desired.generation

    def followed() -> bool:
        return all(slot.generation >= generation for slot in reconciler.facts().members)

    return await until(followed, min(patience_s, FOLLOW_S))


def _running(reconciler: Reconciler, name: str) -> tuple[Arm, ...] | None:
    model = reconciler.desired.models.get(name)
    return model.change.arms if model and model.change else None


def _is_loaded(reconciler: Reconciler, name: str) -> bool:
    facts, model = reconciler.facts(), reconciler.desired.models.get(name)
    for version in versions_to_verify(reconciler.desired, facts):
        if version.model == name and VersionKey(name, version.version) not in facts.failed:
            return False
    if model is None or not model.held:
        return any(key.model == name for key in facts.failed)
    if propose(name, model, reconciler.desired, facts) is not None:
        return False  # what has just been checked is still to be held, or to get its traffic back
    return model.change is None and all(_has_all(slot, name, model) for slot in facts.members)


def _has_all(slot: SlotStatus, name: str, model: DesiredModel) -> bool:
    found = [slot.state_of(name, held.digest) for held in model.held]
    return all(status is not None and status.state == "READY" for status in found)
