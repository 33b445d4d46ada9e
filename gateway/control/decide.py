"""The next desired state, from the present one and one look at the world. Pure: no clock, files or chance.

Every call looks at everything anew and proposes at most one model's next step, so it does not matter after
which step the process that calls it was killed: the next one comes to the same end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from driftgate.gateway.control.ejection import eject
from driftgate.gateway.control.facts import Facts
from driftgate.gateway.control.holding import arms_for, sole_version, versions_needed
from driftgate.gateway.control.plan import plan_held
from driftgate.gateway.control.progress import Step, progress
from driftgate.gateway.routing.compatibility import incompatibilities
from driftgate.gateway.state.desired import TOTAL_PPM, Change, DesiredModel, DesiredState, HeldVersion

CONTROL = "control"
MOST_STEPS = 10_000


@dataclass(frozen=True)
class Proposal:
    """The models and retired boots of the next generation, and who asked for it and why."""

    models: Mapping[str, DesiredModel]
    retired_boots: tuple[str, ...]
    who: str
    why: str


def decide(desired: DesiredState, facts: Facts) -> Proposal | None:
    """Return the next step towards what should be, or None if everything is as it should be."""
    shown = facts.registry.models if facts.registry else {}
    for name in sorted({*desired.models, *shown}):
        proposal = propose(name, desired.models.get(name), desired, facts)
        if proposal:
            return proposal
    return _forget_retired(desired, facts)


def settle(desired: DesiredState, facts: Facts, most_steps: int = MOST_STEPS) -> Proposal | None:
    """Return all steps that need nobody's answer as one; only for the very first generation.

    Steps beyond `most_steps` are left for the generations that follow.
    """
    state, whys = desired, []
    for _ in range(most_steps):
        proposal = decide(state, facts)
        if proposal is None:
            break
        state = replace(state, models=dict(proposal.models), retired_boots=proposal.retired_boots)
        whys.append(proposal.why)
    return Proposal(state.models, state.retired_boots, CONTROL, "; ".join(whys)) if whys else None


def propose(name: str, asked: DesiredModel | None, desired: DesiredState, facts: Facts) -> Proposal | None:
    """Return the next step of one model from the value `asked` for it, or None if `desired` has it already.

    `asked` is the committed value, or what an operator wants in its place.
    """
    model = asked or DesiredModel(split=facts.new_split)
    known, whys = eject(name, _follow_registry(name, model, facts), facts)
    plan = plan_held(name, known, desired, facts)
    if plan.held != known.held:
        whys.append(_difference(name, known, plan.held))
    blocked = plan.refused | {key.version: why for key, why in facts.failed.items() if key.model == name}
    known = _start_change(name, replace(known, held=plan.held), blocked, facts)
    if known.change and not model.change:
        whys.append(known.change.why)
    elif known.settings != model.settings:
        whys.append(f"settings of {name} changed")
    step = progress(name, known, blocked, desired, facts)
    return _as_proposal(name, step, whys, desired, facts)


def _as_proposal(
    name: str, step: Step, whys: list[str], desired: DesiredState, facts: Facts
) -> Proposal | None:
    others = {other: model for other, model in desired.models.items() if other != name}
    boots = desired.retired_boots + step.retired_boots
    if _is_nothing(name, step.model, facts):
        return Proposal(others, boots, CONTROL, f"{name} is gone") if name in desired.models else None
    before = desired.models.get(name)
    if step.model == before:
        return None
    said = [*_switched(name, before, step.model), *whys, step.why or _begun(before, step.model)]
    why = "; ".join(dict.fromkeys(text for text in said if text)) or f"{name} changed"
    return Proposal({**others, name: step.model}, boots, step.who or CONTROL, why)


def _switched(name: str, before: DesiredModel | None, after: DesiredModel) -> list[str]:
    """Say what an operator switched on or off."""
    said = []
    if after.unloaded != (before is not None and before.unloaded):
        said.append(f"unload {name}" if after.unloaded else f"load {name} again")
    if before and after.pinned != before.pinned:
        said.append(f"pin {name} to version {after.pinned}" if after.pinned else f"unpin {name}")
    return said


def _begun(before: DesiredModel | None, after: DesiredModel) -> str:
    running = before.change if before else None
    return after.change.why if after.change and after.change != running else ""


def _is_nothing(name: str, model: DesiredModel, facts: Facts) -> bool:
    """Whether nothing of a model is left to remember."""
    used = model.held or model.split.arms or model.change or model.history or model.pinned or model.unloaded
    gone = facts.registry is not None and name not in facts.registry.models
    return not used and (gone or not model.refused)


def _follow_registry(name: str, model: DesiredModel, facts: Facts) -> DesiredModel:
    """Take over the settings (broken ones leave the last good ones) and forget verdicts on what is gone."""
    published = facts.published(name)
    if published is None or not published.readable:
        return model
    there = {*published.versions, *published.problems, *(held.version for held in model.held)}
    return replace(
        model,
        settings=published.settings or model.settings,
        refused={version: why for version, why in model.refused.items() if int(version) in there},
    )


def _start_change(name: str, model: DesiredModel, blocked: Mapping[int, str], facts: Facts) -> DesiredModel:
    """Begin to give traffic to a version that gets it by itself, if there is one."""
    if model.change or model.unloaded:
        return model
    if model.split.arms:
        found = _newer_version(name, model, blocked, facts)
    else:
        found = _first_version(name, model, blocked, facts)
    if found is None:
        return model
    version, why = found
    deadline = facts.now + facts.limits.prepare_timeout_s
    arms = arms_for({version: TOTAL_PPM}, model.split)
    return replace(model, change=Change(arms, CONTROL, why, deadline))


def _first_version(
    name: str, model: DesiredModel, blocked: Mapping[int, str], facts: Facts
) -> tuple[int, str] | None:
    """The version for a model without traffic: the pinned one, the last that had all, else the newest.

    A version that had traffic is waited for while it is being checked: that a newer one was faster is no
    reason to move the traffic.
    """
    refused = {int(version) for version in model.refused}
    usable = {held.version for held in model.held} - refused
    published = facts.published(name)
    shown = frozenset(published.versions) if published else frozenset()
    coming = (versions_needed(model) & shown) - refused - blocked.keys()
    before = (model.pinned, *model.history)
    version = next((v for v in before if v in usable | coming), max(usable, default=None))
    if version is None or version not in usable:
        return None
    return version, f"version {version} is the first of {name} that is ready"


def _newer_version(
    name: str, model: DesiredModel, blocked: Mapping[int, str], facts: Facts
) -> tuple[int, str] | None:
    """The version that `promote = "auto"` moves on to: one that the version policy asks for.

    A split that somebody set by hand is left alone.
    """
    present = sole_version(model.split)
    if model.settings.promote != "auto" or model.pinned or present is None:
        return None
    published = facts.published(name)
    wanted = model.settings.versions.wanted(tuple(published.versions.keys() - blocked)) if published else ()
    newer = [held.version for held in model.held if held.version > present and held.version in wanted]
    version = max((v for v in newer if why_not_auto(name, model, v, facts) is None), default=None)
    if version is None:
        return None
    return version, f"version {version} of {name} is newer and its model is set to promote = auto"


def why_not_auto(name: str, model: DesiredModel, version: int, facts: Facts) -> str | None:
    """Return why `version` may not replace the stable one by itself, or None."""
    if str(version) in model.refused:
        return model.refused[str(version)]
    stable = model.split.stable
    before = None if stable is None else facts.manifest(name, stable)
    after = facts.manifest(name, version)
    if before is None or after is None:
        return None
    found = incompatibilities(before, after)
    return f"does not accept what clients of version {stable} send: {'; '.join(found)}" if found else None


def _difference(name: str, model: DesiredModel, held: tuple[HeldVersion, ...]) -> str:
    before, after = {v.version for v in model.held}, {v.version for v in held}
    added, dropped = sorted(after - before), sorted(before - after)
    parts = [f"load {_numbers(added)}"] if added else []
    parts += [f"unload {_numbers(dropped)}"] if dropped else []
    return f"{name}: {' and '.join(parts)}"


def _numbers(versions: list[int]) -> str:
    return f"version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))}"


def _forget_retired(desired: DesiredState, facts: Facts) -> Proposal | None:
    alive = {slot.boot for slot in facts.slots}
    boots = tuple(boot for boot in desired.retired_boots if boot in alive)
    if boots == desired.retired_boots:
        return None
    return Proposal(desired.models, boots, CONTROL, "the retired workers are gone")
