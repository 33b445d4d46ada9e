"""Which versions a model is to hold next, within policy, registry and memory budget. Pure."""

from dataclasses import dataclass, field

from driftgate.gateway.desired import DesiredModel, DesiredState, HeldVersion
from driftgate.gateway.facts import Facts
from driftgate.gateway.holding import versions_needed, versions_to_hold

MIB = 2**20


@dataclass(frozen=True)
class Plan:
    """What a model is to hold, and why some versions that it ought to hold do not fit into memory."""

    held: tuple[HeldVersion, ...]
    refused: dict[int, str] = field(default_factory=dict)


def plan_held(name: str, model: DesiredModel, desired: DesiredState, facts: Facts) -> Plan:
    """Return the versions to hold. What is held and still needed always stays; additions must fit."""
    loadable = facts.loadable(name, model.held)
    available = available_versions(name, model, facts)
    others_bytes = _held_bytes(desired, besides=name)
    refused: dict[int, str] = {}
    while True:
        target = versions_to_hold(model, available)
        if not _registry_tells(name, facts) and not model.unloaded:
            target |= {held.version for held in model.held}
        held = tuple(loadable[version] for version in sorted(target & loadable.keys()))
        added = [version for version in held if model.held_version(version.version) is None]
        together = others_bytes + sum(version.size_bytes for version in held)
        if not added or together * facts.limits.workers <= facts.limits.memory_bytes:
            return Plan(held, refused)
        # Oldest first: the newest version is the one that people wait for.
        least = next((v for v in added if v.version not in versions_needed(model)), added[0])
        refused[least.version] = _does_not_fit(least, together - least.size_bytes, facts)
        del loadable[least.version]
        available = tuple(version for version in available if version != least.version)


def available_versions(name: str, model: DesiredModel, facts: Facts) -> tuple[int, ...]:
    """Return the versions that the policy may choose from: published, or unreadable now, and loadable.

    A version under a number that is held counts as what is held.
    """
    published = facts.published(name)
    if published is None:
        return ()
    there = {*published.versions, *published.problems}
    return tuple(sorted(there & facts.loadable(name, model.held).keys()))


def _registry_tells(name: str, facts: Facts) -> bool:
    """Whether the registry is readable enough to say that a version is gone."""
    published = facts.published(name)
    return facts.registry is not None and (published is None or published.readable)


def _held_bytes(desired: DesiredState, besides: str) -> int:
    return sum(
        held.size_bytes for name, model in desired.models.items() if name != besides for held in model.held
    )


def _does_not_fit(version: HeldVersion, together: int, facts: Facts) -> str:
    limits = facts.limits
    workers = f"{limits.workers} worker" + ("s" if limits.workers != 1 else "")
    return (
        f"does not fit into memory: {_mib(version.size_bytes)} in each of {workers} on top of "
        f"{_mib(together)} in each, of {_mib(limits.memory_bytes)} for all workers together "
        "(limits.memory_bytes)"
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.1f} MiB"
