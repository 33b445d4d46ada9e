"""The desired state: what every worker is to hold and how traffic is split, as one immutable value.

Control writes it, generation by generation; nobody else does. It holds who, when and why, so the sequence of
generations is also the audit trail.
"""

import hashlib
from typing import Annotated, Literal

import msgspec

from driftgate.gateway.formats import other_format
from driftgate.models.registry.settings import ModelSettings

FORMAT = 1
TOTAL_PPM = 1_000_000

Ppm = Annotated[int, msgspec.Meta(ge=0, le=TOTAL_PPM)]


Interval = tuple[int, int]
"""Buckets from the first number up to, and without, the second."""


class Arm(msgspec.Struct, frozen=True, omit_defaults=True):
    """One arm of a split: the version that serves it and its share of all keys in parts per million.

    `intervals` are its buckets, in order. They are left out in all arms of a split whose arms own
    consecutive intervals in the order of the split.
    """

    name: str
    version: int
    weight_ppm: Ppm
    intervals: tuple[Interval, ...] = ()


class KeySource(msgspec.Struct, frozen=True):
    """Where the key of a request comes from: what the split randomises.

    `header` and `input` name a request header, or an input or column of the request (its first row's
    value). A request without such a key is assigned by its sequence id, else by its prediction id.
    """

    kind: Literal["header", "input", "prediction-id"] = "header"
    name: str = "x-routing-key"

    def __post_init__(self) -> None:
        if self.kind == "prediction-id":
            msgspec.structs.force_setattr(self, "name", "")

    def __str__(self) -> str:
        return self.kind if self.kind == "prediction-id" else f"{self.kind} {self.name}"


class Assignment(msgspec.Struct, frozen=True):
    """How keys come to buckets: the source of the key, and which of the two salts hashes it."""

    key: KeySource = KeySource()
    salt: Literal["rollout", "variant"] = "rollout"


class TrafficSplit(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the traffic of a model is shared out; no arms means that no version has traffic.

    `salt` and `variant_salt` are secret keys of the assignment hash, in hex: one for rollouts and an
    independent one for experiments, so that not the same keys are first in everything. Weights sum to
    TOTAL_PPM.
    """

    salt: str
    arms: tuple[Arm, ...] = ()
    variant_salt: str = ""
    assignment: Assignment = Assignment()

    @property
    def hash_key(self) -> bytes:
        """The secret that keys are hashed with."""
        return bytes.fromhex(self.salt if self.assignment.salt == "rollout" else self.variant_salt)

    @property
    def versions(self) -> frozenset[int]:
        """The versions that have weight."""
        return frozenset(arm.version for arm in self.arms if arm.weight_ppm)

    @property
    def stable(self) -> int | None:
        """The version with the most traffic (the earliest arm among equals), or None."""
        return max(self.arms, key=lambda arm: arm.weight_ppm).version if self.arms else None

    @property
    def canary(self) -> int | None:
        """The version of the arm of that name, or None."""
        return next((arm.version for arm in self.arms if arm.name == "canary"), None)


class Shadow(msgspec.Struct, frozen=True):
    """A version that gets a copy of the rows of others, and whose answers nobody waits for.

    `share_ppm` is the share of the calls that are copied.
    """

    version: int
    share_ppm: Ppm = TOTAL_PPM


class HeldVersion(msgspec.Struct, frozen=True):
    """A version that workers keep loaded. `digest` names its directory in the cache."""

    version: int
    digest: str
    size_bytes: int


class ReferenceWindow(msgspec.Struct, frozen=True):
    """The traffic that a version's reference is to be made of: what it answered in [first_us, end_us).

    Times are in Unix microseconds.
    """

    version: int
    first_us: int
    end_us: int


class Armed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version whose drift notifies, judged by windows from `since_us` on.

    With `end_us` each hour of the week is judged by the traffic of [first_us, end_us); without by the
    reference alone. Times are in Unix microseconds.
    """

    since_us: int
    first_us: int = 0
    end_us: int = 0


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of traffic that waits until every member holds the versions it needs.

    `deadline` is in Unix seconds. `replaced` says that members which could not prepare were replaced once.
    `pin` is the version to pin when it is committed. `shadows` take the place of the present ones and
    `assignment` that of the split; None leaves those.
    """

    arms: tuple[Arm, ...]
    who: str
    why: str
    deadline: float
    replaced: bool = False
    pin: int | None = None
    shadows: tuple[Shadow, ...] | None = None
    assignment: Assignment | None = None

    def applied_to(self, split: TrafficSplit) -> TrafficSplit:
        """Return the split once this change is in force."""
        return msgspec.structs.replace(split, arms=self.arms, assignment=self.assignment or split.assignment)


class DesiredModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model: versions to hold, split, running change, pin, and the versions that once had 100 %.

    `history` lists versions that had all traffic, newest first and without repeats: the first is today's or
    the last, the second is where a rollback goes. `refused` tells why a change to a version failed.
    `ejected` tells why a version gets none of the rows that split and shadows give it: the stable one answers
    in its place. What happened before generation `evidence_since` ejects nothing. `reference` is the traffic
    that somebody last made a reference of. `armed` are the versions whose drift notifies, by number; windows
    before `drift_acknowledged_us` count as evidence of drift no more.
    """

    split: TrafficSplit
    settings: ModelSettings = ModelSettings()
    held: tuple[HeldVersion, ...] = ()
    change: Change | None = None
    pinned: int | None = None
    history: tuple[int, ...] = ()
    unloaded: bool = False
    refused: dict[str, str] = {}
    shadows: tuple[Shadow, ...] = ()
    ejected: dict[str, str] = {}
    evidence_since: int = 0
    reference: ReferenceWindow | None = None
    armed: dict[str, Armed] = {}
    drift_acknowledged_us: int = 0

    @property
    def ejected_versions(self) -> frozenset[int]:
        """The numbers of the versions that are ejected."""
        return frozenset(map(int, self.ejected))

    def held_version(self, version: int) -> HeldVersion | None:
        """Return what is held of `version`, or None."""
        return next((held for held in self.held if held.version == version), None)


class DesiredState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One generation. `previous` is the SHA-256 of the bytes of the generation before.

    `retired_boots` are boot ids of workers that the supervisor is to replace.
    """

    format: int = FORMAT
    generation: int
    previous: str
    who: str
    why: str
    at: str
    models: dict[str, DesiredModel] = {}
    retired_boots: tuple[str, ...] = ()

    @property
    def digests(self) -> frozenset[str]:
        """The digests of all versions that are held."""
        return frozenset(held.digest for model in self.models.values() for held in model.held)

    @property
    def digests_with_weight(self) -> frozenset[str]:
        """The digests of the versions that have traffic."""
        return frozenset(
            held.digest
            for model in self.models.values()
            for held in model.held
            if held.version in model.split.versions
        )


class UnreadableState(Exception):
    """A generation file that is damaged or written by a newer Driftgate."""


def encode_state(state: DesiredState) -> bytes:
    """Return the bytes of one generation file, which begin with the format number."""
    document = {"format": FORMAT, **msgspec.to_builtins(state, order="deterministic")}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_state(data: bytes) -> DesiredState:
    """Return the state in `data`, else raise UnreadableState."""
    other = other_format(data, FORMAT)
    if other is not None:
        raise UnreadableState(f"desired state has format {other}; this Driftgate reads {FORMAT}")
    try:
        return msgspec.json.decode(data, type=DesiredState)
    except msgspec.MsgspecError as error:
        raise UnreadableState(f"desired state: {error}") from error


def state_digest(data: bytes) -> str:
    """Return the hash that the next generation names as `previous`."""
    return hashlib.sha256(data).hexdigest()
