"""Which versions a model is to hold next, and which are to be checked for it. Pure.

What is held and still needed always stays; what is added must be verified and fit into the memory budget.
"""

from dataclasses import dataclass, field

from driftgate.gateway.control.facts import Facts, VersionKey
from driftgate.gateway.control.holding import versions_needed, versions_to_hold
from driftgate.gateway.state.desired import DesiredModel, DesiredState, HeldVersion, TrafficSplit
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel
from driftgate.models.run.memory import memory_problem


@dataclass(frozen=True)
class Plan:
    """What a model is to hold, and why some versions that it ought to hold do not fit into memory."""

    held: tuple[HeldVersion, ...]
    refused: dict[int, str] = field(default_factory=dict)


def plan_held(name: str, model: DesiredModel, desired: DesiredState, facts: Facts) -> Plan:
    """Return the versions that `model` is to hold next to the other models of `desired`."""
    loadable = facts.loadable(name, model.held)
    available = _available(name, loadable, facts)
    others = [h.size_bytes for other, m in desired.models.items() if other != name for h in m.held]
    refused: dict[int, str] = {}
    while True:
        target = versions_to_hold(model, available)
        if not _registry_tells(name, facts) and not model.unloaded:
            target |= {held.version for held in model.held}
        held = tuple(loadable[version] for version in sorted(target & loadable.keys()))
        added = _least_wanted_addition(model, held)
        if added is None:
            return Plan(held, refused)
        beside = others + [version.size_bytes for version in held if version is not added]
        problem = memory_problem(beside, added.size_bytes, facts.limits.workers, facts.limits.memory_bytes)
        if problem is None:
            return Plan(held, refused)
        refused[added.version] = problem
        del loadable[added.version]
        available = tuple(version for version in available if version != added.version)


def versions_wanted(desired: DesiredState, facts: Facts) -> tuple[PublishedVersion, ...]:
    """Return the published versions that ought to be held, newest first, whether they are verified or not.

    While a version fails its checks the next older one that the policy would take is wanted too. A number
    that is held is not wanted with other content.
    """
    shown = facts.registry.models if facts.registry else {}
    found = [
        version
        for name, published in shown.items()
        for version in _wanted_of(published, desired.models.get(name), facts)
    ]
    return tuple(sorted(found, key=lambda version: (-version.version, version.model)))


def versions_to_verify(desired: DesiredState, facts: Facts) -> tuple[PublishedVersion, ...]:
    """Return the wanted versions that are not verified, newest first."""
    return tuple(version for version in versions_wanted(desired, facts) if not _is_verified(version, facts))


def _available(name: str, loadable: dict[int, HeldVersion], facts: Facts) -> tuple[int, ...]:
    """The loadable versions that the policy may choose from: published, or only unreadable now."""
    published = facts.published(name)
    return tuple(sorted({*published.versions, *published.problems} & loadable.keys())) if published else ()


def _registry_tells(name: str, facts: Facts) -> bool:
    """Whether the registry is readable enough to say that a version is gone."""
    published = facts.published(name)
    return facts.registry is not None and (published is None or published.readable)


def _least_wanted_addition(model: DesiredModel, held: tuple[HeldVersion, ...]) -> HeldVersion | None:
    """The addition to give up first: the oldest, because people wait for the newest; needed ones last."""
    added = [version for version in held if model.held_version(version.version) is None]
    needed = versions_needed(model)
    return min(added, key=lambda version: (version.version in needed, version.version), default=None)


def _wanted_of(published: RegistryModel, model: DesiredModel | None, facts: Facts) -> list[PublishedVersion]:
    known = model or DesiredModel(TrafficSplit(salt=""), published.settings or ModelSettings())
    numbers = tuple(published.versions)
    sound = tuple(v for v in numbers if VersionKey(published.name, v) not in facts.failed)
    wanted = versions_to_hold(known, numbers) | versions_to_hold(known, sound)
    found = [published.versions[number] for number in wanted & set(numbers)]
    return [version for version in found if _may_be_held(version, known)]


def _may_be_held(version: PublishedVersion, model: DesiredModel) -> bool:
    held = model.held_version(version.version)
    return held is None or held.digest == version.digest


def _is_verified(version: PublishedVersion, facts: Facts) -> bool:
    verified = facts.verified.get(VersionKey(version.model, version.version))
    return verified is not None and verified.digest == version.digest
