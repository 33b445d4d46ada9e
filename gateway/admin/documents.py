"""What goes over the wire of the admin API: the types of its requests and answers."""

from typing import Annotated, Any, Literal

import msgspec

from driftgate.gateway.control.model_report import ArmReport, ModelReport
from driftgate.gateway.routing.intervals import Moves
from driftgate.gateway.state.desired import Assignment, DesiredState
from driftgate.gateway.state.status import SlotStatus

Version = Annotated[int, msgspec.Meta(ge=1)]


class EmptyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that says everything with its path."""


class PromoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version that is to get all traffic; `force` even if it takes other inputs than the stable one."""

    version: Version
    force: bool = False


class TrafficRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A split of the traffic: versions to percent in `arms`, or to parts per million in `weights_ppm`.

    `assignment` says what the key of a request is and which salt hashes it, None leaves that; `force` even
    if keys are dealt out anew or a version was ejected.
    """

    arms: dict[str, float] | None = None
    weights_ppm: dict[str, int] | None = None
    assignment: Assignment | None = None
    force: bool = False


class ShadowRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version that is to be a shadow, of so many percent of the calls; 0 makes it none."""

    version: Version
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0


class IndexRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which versions to list: all, or only those that are READY."""

    ready: bool = False


class LoadParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`unload_dependents` is accepted and means nothing; `force` unloads a model that has traffic."""

    unload_dependents: bool = False
    force: bool = False


class LoadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What clients of the Open Inference Protocol send to load or unload."""

    parameters: LoadParameters = LoadParameters()


class ModelsAnswer(msgspec.Struct, frozen=True):
    """All models, and what is wrong with the registry as a whole."""

    models: tuple[ModelReport, ...]
    problems: tuple[str, ...] = ()


class ChangeAnswer(msgspec.Struct, frozen=True):
    """What became of a change: `pending` is one that waits for workers; `generation` is the newest.

    `before` is the split before it and `pinned_before` the version that it was pinned to; `moves` and `why`
    are what the change moves and what it is. `in_force` says that every worker that accepts requests has
    followed.
    """

    generation: int
    state: Literal["committed", "pending", "dry-run"]
    model: ModelReport
    before: tuple[ArmReport, ...] = ()
    moves: Moves | None = None
    why: str = ""
    in_force: bool = False
    pinned_before: int | None = None


class ExampleAnswer(msgspec.Struct, frozen=True):
    """Rows that a version takes, and where predictions are asked for."""

    url: str
    model: str
    version: int
    rows: tuple[dict[str, Any], ...]


class IndexRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version in the index of the Open Inference Protocol; a READY one has no reason."""

    name: str
    state: str
    version: str | None = None
    reason: str | None = None


class LoopHealth(msgspec.Struct, frozen=True):
    """How many steps of the control loop failed, and with what the last one did."""

    failures: int
    last_failure: str


class StateAnswer(msgspec.Struct, frozen=True):
    """The newest generation, what every slot says of itself, and what is wrong."""

    desired: DesiredState
    slots: tuple[SlotStatus, ...]
    problems: tuple[str, ...]
    control: LoopHealth


class HealthAnswer(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool
