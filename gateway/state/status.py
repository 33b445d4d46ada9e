"""What one slot reports of itself: `slots/<n>/status.json`, written whole, by that slot alone."""

from typing import Literal

import msgspec

FORMAT = 1

VersionState = Literal["UNAVAILABLE", "LOADING", "READY", "UNLOADING"]


class VersionStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version in one slot; `reason` says why it is UNAVAILABLE."""

    model: str
    version: int
    digest: str
    state: VersionState
    reason: str = ""


class SlotStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a slot holds and does. `boot` is new at every start of the process; `generation` is in force.

    `accepting` from the moment before it begins to accept requests until it drains.
    """

    slot: int
    boot: str
    pid: int
    generation: int = 0
    accepting: bool = False
    versions: tuple[VersionStatus, ...] = ()
    format: int = FORMAT

    def state_of(self, model: str, digest: str) -> VersionStatus | None:
        """Return the status of the version of `model` with this digest, or None."""
        return next((v for v in self.versions if v.model == model and v.digest == digest), None)
