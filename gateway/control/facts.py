"""What decisions are made from, beside the desired state itself: one immutable look at the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from driftgate.gateway.control.evidence import Evidence
from driftgate.gateway.state.desired import HeldVersion, TrafficSplit
from driftgate.gateway.state.status import SlotStatus
from driftgate.models.registry.snapshot import RegistryModel, RegistrySnapshot
from driftgate.models.schema.manifest import Manifest


class VersionKey(NamedTuple):
    """One version of one model."""

    model: str
    version: int


@dataclass(frozen=True)
class Verified:
    """A version that is in the cache and passed its probation; `size_bytes` is its memory in one worker."""

    digest: str
    size_bytes: int
    manifest: Manifest


@dataclass(frozen=True)
class Limits:
    """Bounds of decisions. `memory_bytes` is for the models of all workers together."""

    workers: int = 1
    memory_bytes: int = 2**40
    prepare_timeout_s: float = 60.0


@dataclass(frozen=True)
class Facts:
    """One look at registry, cache and slots.

    `registry` is None while it cannot be read. `failed` says why a version is not verified. `slots` are the
    live ones. `now` is in Unix seconds; the salts are for the split of a model that has none yet.
    """

    now: float
    salt: str
    registry: RegistrySnapshot | None = None
    verified: Mapping[VersionKey, Verified] = field(default_factory=dict)
    failed: Mapping[VersionKey, str] = field(default_factory=dict)
    slots: tuple[SlotStatus, ...] = ()
    limits: Limits = Limits()
    variant_salt: str = ""
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def new_split(self) -> TrafficSplit:
        """The split of a model that has none yet: without traffic, with salts of its own."""
        return TrafficSplit(self.salt, variant_salt=self.variant_salt)

    @property
    def members(self) -> tuple[SlotStatus, ...]:
        """The slots that accept requests or are about to: those which must agree to a change of traffic."""
        return tuple(slot for slot in self.slots if slot.accepting)

    @property
    def unloadable(self) -> frozenset[str]:
        """The digests of versions that some live slot cannot load."""
        states = (version for slot in self.slots for version in slot.versions)
        return frozenset(version.digest for version in states if version.state == "UNAVAILABLE")

    def published(self, model: str) -> RegistryModel | None:
        """Return what the registry shows of `model`, or None."""
        return self.registry.models.get(model) if self.registry else None

    def manifest(self, model: str, version: int) -> Manifest | None:
        """Return what is known of a version: from the cache, else from the registry."""
        verified = self.verified.get(VersionKey(model, version))
        if verified:
            return verified.manifest
        published = self.published(model)
        found = published.versions.get(version) if published else None
        return found.manifest if found else None

    def loadable(self, model: str, held: tuple[HeldVersion, ...]) -> dict[int, HeldVersion]:
        """Return the versions that can be held: those `held` now as they are, and every verified one.

        A number keeps its content for as long as it is held, whatever the registry shows under it since.
        """
        return self._verified_of.get(model, {}) | {version.version: version for version in held}

    @cached_property
    def _verified_of(self) -> dict[str, dict[int, HeldVersion]]:
        found: dict[str, dict[int, HeldVersion]] = {}
        for key, verified in self.verified.items():
            version = HeldVersion(key.version, verified.digest, verified.size_bytes)
            found.setdefault(key.model, {})[key.version] = version
        return found
