"""Which version answers a request: pure, immutable, swapped whole.

The assignment of a key is a keyed hash over 1,000,000 buckets, so it is the same on every worker of the same
generation and needs no state. Arms own consecutive intervals of buckets, in the order of the split.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import Generic, TypeVar

from driftgate.gateway.desired import TOTAL_PPM, TrafficSplit
from driftgate.gateway.errors import NotFound, NotServable

V = TypeVar("V")


def bucket_of(salt: bytes, key: bytes) -> int:
    """Return the bucket of `key`, from 0 to 999,999, by an unbiased multiply-shift of a 64-bit hash."""
    digest = blake2b(key, digest_size=8, key=salt).digest()
    return int.from_bytes(digest, "big") * TOTAL_PPM >> 64


@dataclass(frozen=True, slots=True)
class Target(Generic[V]):
    """Where a request goes: the loaded version, the arm, its share (propensity), and what the answer says.

    `served_by` is the value of the `x-served-by` header. Propensity is None where nothing was randomised.
    """

    version: V
    arm: str
    propensity: float | None
    generation: int
    served_by: bytes


class ModelRoute(Generic[V]):
    """The versions of one model that can answer, and how its traffic is split among them."""

    def __init__(self, name: str, split: TrafficSplit, loaded: Mapping[int, V], generation: int) -> None:
        self.name = name
        self.versions = tuple(sorted(loaded))
        self.labels = self._labels(split)
        self._by_version = {
            str(number): Target(
                version, "explicit", None, generation, served_by(number, "explicit", generation)
            )
            for number, version in loaded.items()
        }
        for label, number in self.labels.items():
            self._by_version[label] = self._by_version[str(number)]
        arms = [arm for arm in split.arms if arm.weight_ppm and arm.version in loaded]
        self._salt = bytes.fromhex(split.salt)
        self._targets = [
            Target(
                loaded[arm.version],
                arm.name,
                arm.weight_ppm / TOTAL_PPM,
                generation,
                served_by(arm.version, arm.name, generation),
            )
            for arm in arms
        ]
        self._starts = list(accumulate((arm.weight_ppm for arm in arms), initial=0))[1:-1]
        self._total = sum(arm.weight_ppm for arm in arms)
        self.entry: Target[V] | None = max(self._targets, key=_weight, default=None)

    @property
    def names(self) -> tuple[str, ...]:
        """Version numbers and labels that a path may name."""
        return tuple(self._by_version)

    def _labels(self, split: TrafficSplit) -> dict[str, int]:
        labels = {"latest": self.versions[-1]} if self.versions else {}
        if split.stable in self.versions and split.stable is not None:
            labels["stable"] = split.stable
        return labels

    @property
    def single(self) -> Target[V] | None:
        """The one target of all traffic, where there is but one: then no key needs hashing."""
        return self._targets[0] if len(self._targets) == 1 else None

    def choose(self, key: bytes) -> Target[V]:
        """Return the target of `key`; raise NotServable if no version has traffic."""
        if len(self._targets) == 1:
            return self._targets[0]
        if not self._targets:
            raise NotServable(f"model '{self.name}' has no version with traffic yet")
        bucket = bucket_of(self._salt, key) * self._total // TOTAL_PPM
        return self._targets[bisect_right(self._starts, bucket)]

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


def _weight(target: Target[V]) -> float:
    return target.propensity or 0.0


def served_by(version: int, arm: str, generation: int) -> bytes:
    """Return the structured dictionary (RFC 8941) that names who answered."""
    return b"version=%d, arm=%s, generation=%d" % (version, arm.encode(), generation)
