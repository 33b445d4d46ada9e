"""The desired state: what every worker is to hold and how traffic is split, as one immutable value.

Control writes it, generation by generation; nobody else does. It holds who, when and why, so the sequence of
generations is also the audit trail.
"""

import hashlib
from typing import Annotated

import msgspec

from driftgate.models.settings import ModelSettings

FORMAT = 1
TOTAL_PPM = 1_000_000

Ppm = Annotated[int, msgspec.Meta(ge=0, le=TOTAL_PPM)]


class Arm(msgspec.Struct, frozen=True):
    """One arm of a split: the version that serves it and its share of all keys in parts per million."""

    name: str
    version: int
    weight_ppm: Ppm


class TrafficSplit(msgspec.Struct, frozen=True):
    """How the traffic of a model is shared out; no arms means that no version has traffic.

    `salt` is the secret key of the assignment hash, in hex. Weights sum to TOTAL_PPM.
    """

    salt: str
    arms: tuple[Arm, ...] = ()

    @property
    def versions(self) -> frozenset[int]:
        """The versions that have weight."""
        return frozenset(arm.version for arm in self.arms if arm.weight_ppm)

    @property
    def stable(self) -> int | None:
        """The version with the most traffic (the earliest arm among equals), or None."""
        return max(self.arms, key=lambda arm: arm.weight_ppm).version if self.arms else None


class HeldVersion(msgspec.Struct, frozen=True):
    """A version that workers keep loaded. `digest` names its directory in the cache."""

    version: int
    digest: str
    size_bytes: int


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of traffic that waits until every member holds the versions it needs.

    `deadline` is in Unix seconds. `replaced` says that members which could not prepare were replaced once.
    `pin` is the version to pin when it is committed.
    """

    arms: tuple[Arm, ...]
    who: str
    why: str
    deadline: float
    replaced: bool = False
    pin: int | None = None


class DesiredModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model: versions to hold, split, running change, pin, and the versions that once had 100 %.

    `history` lists versions that had all traffic, newest first and without repeats: the first is today's or
    the last, the second is where a rollback goes. `refused` tells why a change to a version failed.
    """

    split: TrafficSplit
    settings: ModelSettings = ModelSettings()
    held: tuple[HeldVersion, ...] = ()
    change: Change | None = None
    pinned: int | None = None
    history: tuple[int, ...] = ()
    unloaded: bool = False
    refused: dict[str, str] = {}

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
    """Return the bytes of one generation file."""
    return msgspec.json.format(msgspec.json.encode(state, order="deterministic"), indent=1) + b"\n"


def decode_state(data: bytes) -> DesiredState:
    """Return the state in `data`, else raise UnreadableState."""
    try:
        state = msgspec.json.decode(data, type=DesiredState)
    except msgspec.MsgspecError as error:
        raise UnreadableState(f"desired state: {error}") from error
    if state.format != FORMAT:
        raise UnreadableState(f"desired state has format {state.format}; this Driftgate reads {FORMAT}")
    return state


def state_digest(data: bytes) -> str:
    """Return the hash that the next generation names as `previous`."""
    return hashlib.sha256(data).hexdigest()
