"""What the control loop looks at and writes to, and what it tells of itself."""

from collections.abc import Callable
from dataclasses import dataclass

from driftgate.gateway.control.evidence import Evidence
from driftgate.gateway.control.verifier import Verifier
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.desired import DesiredState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.status import SlotStatus
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.snapshot import RegistrySource


def no_evidence(desired: DesiredState, slots: tuple[SlotStatus, ...], now: float) -> Evidence:
    """Know nothing against any version."""
    return Evidence()


@dataclass(frozen=True)
class Surroundings:
    """What the loop looks at and writes to. `slots` are the live ones at one look.

    `evidence` is what there is against the versions of a state, at a monotonic time in seconds.
    """

    store: GenerationStore
    registry: RegistrySource
    cache: VersionCache
    verifier: Verifier
    slots: Callable[[], tuple[SlotStatus, ...]]
    logger: Logger
    evidence: Callable[[DesiredState, tuple[SlotStatus, ...], float], Evidence] = no_evidence


@dataclass(frozen=True)
class Clocks:
    """`wall` in Unix seconds, for what is written down; `monotonic` in seconds, for waiting."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


@dataclass
class Health:
    """What the loop itself went through: shown to operators."""

    failures: int = 0
    last_failure: str = ""
