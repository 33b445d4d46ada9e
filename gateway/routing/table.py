"""Which version answers a request: pure, immutable, swapped whole.

The assignment of a key is a keyed hash over 1,000,000 buckets, so it is the same on every worker of the same
generation and needs no state. Arms own intervals of buckets, which `intervals` deals out.
"""

from bisect import bisect_right
from collections.abc import Mapping, Set
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, Literal, TypeVar

from driftgate.gateway.errors import NotFound, NotServable
from driftgate.gateway.routing.intervals import owned_by
from driftgate.gateway.state.desired import TOTAL_PPM, Arm, Interval, TrafficSplit

V = TypeVar("V")


def bucket_of(salt: bytes, key: bytes) -> int:
    """Return the bucket of `key`, from 0 to 999,999, by an unbiased multiply-shift of a 64-bit hash."""
    digest = blake2b(key, digest_size=8, key=salt).digest()
    return int.from_bytes(digest, "big") * TOTAL_PPM >> 64


NOT_HASHED = -1
"""The bucket of a request whose target needed no hash."""
Why = Literal["hash", "override", "fallback"]


@dataclass(frozen=True, slots=True)
class Target(Generic[V]):
    """Where a request goes: the loaded version, the arm, its share (propensity), and what the answer says.

    `served_by` is the value of the `x-served-by` header, but for the bucket. Propensity is None where nothing
    was randomised.
    `why` says how it was chosen: by the key's hash, by a version, label or arm that the request named, or
    because the version that the hash chose is not loaded or is ejected.
    """

    version: V
    arm: str
    propensity: float | None
    generation: int
    served_by: bytes
    why: Why = "hash"


class ModelRoute(Generic[V]):
    """The versions of one model that can answer, and how its traffic is split among them."""

    def __init__(
        self,
        name: str,
        split: TrafficSplit,
        loaded: Mapping[int, V],
        generation: int,
        ejected: Set[int] = frozenset(),
    ) -> None:
        """`ejected` versions answer only where a request names their number."""
        self.name = name
        self.key = split.assignment.key
        self.versions = tuple(sorted(loaded))
        self.labels = self._labels(split)
        self._by_version = {
            str(number): _target(Arm("explicit", number, 0), loaded, generation, "override")
            for number in loaded
        }
        usable = loaded.keys() - ejected
        arms = [arm for arm in split.arms if arm.weight_ppm and arm.version in usable]
        by_hash = {arm.version: _target(arm, loaded, generation, "hash") for arm in arms}
        most = max(arms, key=lambda arm: arm.weight_ppm, default=None)
        self.entry = by_hash[most.version] if most else None
        fallback = _target(most, loaded, generation, "fallback") if most else None
        for label, number in self.labels.items():
            replaced = fallback if number in ejected else None
            self._by_version[label] = replaced or self._by_version[str(number)]
        self._by_arm = {arm.name: _target(arm, loaded, generation, "override") for arm in arms}
        owned = sorted((piece, arm) for arm, pieces in owned_by(split.arms).items() for piece in pieces)
        self._ends, self._targets = _deal(owned, by_hash, fallback)
        self._hash = blake2b(digest_size=8, key=split.hash_key)

    @property
    def names(self) -> tuple[str, ...]:
        """Version numbers and labels that a path may name."""
        return tuple(self._by_version)

    def _labels(self, split: TrafficSplit) -> dict[str, int]:
        found = (
            ("latest", max(self.versions, default=None)),
            ("stable", split.stable),
            ("canary", split.canary),
        )
        return {label: number for label, number in found if number in self.versions and number is not None}

    @property
    def single(self) -> Target[V] | None:
        """The one target of all traffic, where there is but one: then no key needs hashing."""
        return self._targets[0] if len(self._targets) == 1 else None

    def choose(self, key: bytes) -> tuple[Target[V], int]:
        """Return the target of `key` and its bucket; raise NotServable if no version has traffic.

        Keys of an arm whose version is not loaded go to the arm with most traffic, the others stay.
        """
        if not self._targets:
            raise NotServable(f"model '{self.name}' has no version with traffic yet")
        keyed = self._hash.copy()
        keyed.update(key)
        bucket = int.from_bytes(keyed.digest(), "big") * TOTAL_PPM >> 64
        return self._targets[bisect_right(self._ends, bucket)], bucket

    def arm(self, name: str) -> Target[V]:
        """Return the target of the arm called `name`, whatever the key, else raise NotFound."""
        try:
            return self._by_arm[name]
        except KeyError:
            arms = ", ".join(self._by_arm) or "none"
            raise NotFound(
                f"model '{self.name}' has no arm '{name[:64]}' with traffic; there are: {arms}"
            ) from None

    def explicit(self, version: str) -> Target[V]:
        """Return the target of a version number or label, else raise NotFound."""
        try:
            return self._by_version[version]
        except KeyError:
            raise NotFound(
                f"Request for unknown model: '{self.name}' version {version[:64]} is not found"
            ) from None


@dataclass(frozen=True)
class RoutingTable(Generic[V]):
    """All routes of one generation."""

    generation: int
    routes: Mapping[str, ModelRoute[V]]

    def route(self, model: str) -> ModelRoute[V]:
        """Return the route of `model`; raise NotFound or, where nothing of it is loaded, NotServable."""
        found = self.routes.get(model)
        if found is None:
            raise NotFound(f"Request for unknown model: '{model[:128]}' is not found")
        if not found.versions:
            raise NotServable(f"model '{model}' has no version that is ready; see /api/models/{model}")
        return found


def _target(arm: Arm, loaded: Mapping[int, V], generation: int, why: Why) -> Target[V]:
    share = arm.weight_ppm / TOTAL_PPM if why == "hash" else None
    name = served_by(arm.version, arm.name, generation, why)
    return Target(loaded[arm.version], arm.name, share, generation, name, why)


def _deal(
    owned: list[tuple[Interval, int]], by_hash: Mapping[int, Target[V]], fallback: Target[V] | None
) -> tuple[list[int], list[Target[V]]]:
    """Return where each interval but the last ends, and its target; neighbours of one target are one."""
    if fallback is None:
        return [], []
    ends: list[int] = []
    targets: list[Target[V]] = []
    for (_, stop), version in owned:
        target = by_hash.get(version, fallback)
        if targets and targets[-1] is target:
            ends[-1] = stop
        else:
            ends.append(stop)
            targets.append(target)
    return ends[:-1], targets


def served_by(version: int, arm: str, generation: int, why: Why) -> bytes:
    """Return the structured dictionary (RFC 8941) that names who answered."""
    return b"version=%d, arm=%s, generation=%d, why=%s" % (version, arm.encode(), generation, why.encode())
