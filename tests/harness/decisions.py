"""States and looks at the world for tests of decisions: one model `m`, of two workers."""

from typing import Any

from driftgate.gateway.control.decide import decide
from driftgate.gateway.control.facts import Facts, Limits, Verified, VersionKey
from driftgate.gateway.state.desired import (
    TOTAL_PPM,
    Arm,
    Change,
    DesiredModel,
    DesiredState,
    HeldVersion,
    TrafficSplit,
)
from driftgate.gateway.state.status import SlotStatus, VersionStatus
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel, RegistrySnapshot

from harness.manifests import paper_manifest

NOW, TIMEOUT = 1000.0, 60.0
MIB = 2**20
AUTO = ModelSettings(promote="auto")


def registry(*versions: int, settings: ModelSettings | None = None, **more: Any) -> RegistrySnapshot:
    """A registry that shows these versions of `m`; version 99 takes other inputs."""
    shown = {v: PublishedVersion("m", v, f"d{v}", paper_manifest(v, 3 if v == 99 else 2)) for v in versions}
    return RegistrySnapshot({"m": RegistryModel("m", shown, settings or ModelSettings(), **more)})


def facts(shown: RegistrySnapshot | None, *slots: SlotStatus, proven: tuple[int, ...] | None = None) -> Facts:
    """One look: what the registry shows is verified, unless `proven` says what is."""
    published = shown.models["m"].versions if shown and "m" in shown.models else {}
    verified = {
        VersionKey("m", v): Verified(p.digest, MIB, p.manifest)
        for v, p in published.items()
        if proven is None or v in proven
    }
    limits = Limits(workers=2, memory_bytes=100 * MIB, prepare_timeout_s=TIMEOUT)
    return Facts(NOW, "5a", shown, verified, {}, slots, limits)


def held(*versions: int) -> tuple[HeldVersion, ...]:
    """What is held of these versions."""
    return tuple(HeldVersion(v, f"d{v}", MIB) for v in versions)


def slot(*ready: int, number: int = 0, generation: int = 5, **more: Any) -> SlotStatus:
    """A member with these versions ready."""
    states = tuple(VersionStatus("m", v, f"d{v}", "READY") for v in ready)
    boot = f"boot{number}"
    given: dict[str, Any] = {"generation": generation, "accepting": True, "versions": states} | more
    return SlotStatus(slot=number, boot=boot, pid=1, **given)


def all_to(version: int) -> tuple[Arm, ...]:
    """The arms of a split with one version."""
    return (Arm("stable", version, TOTAL_PPM),)


def model(stable: int, *others: int, **more: Any) -> DesiredModel:
    """A model whose traffic is all on `stable`, which is held with `others`."""
    given: dict[str, Any] = {
        "split": TrafficSplit("00", all_to(stable)),
        "held": held(*sorted({stable, *others})),
    }
    return DesiredModel(**(given | {"history": (stable,)} | more))


def state(wanted: DesiredModel | None, generation: int = 5, **more: Any) -> DesiredState:
    """A committed generation."""
    models = {} if wanted is None else {"m": wanted}
    return DesiredState(generation=generation, previous="", who="", why="", at="", models=models, **more)


def next_model(before: DesiredState, look: Facts) -> DesiredModel:
    """What the next generation says of `m`."""
    proposal = decide(before, look)
    assert proposal is not None
    return proposal.models["m"]


def versions_of(wanted: DesiredModel) -> list[int]:
    """The numbers that are held."""
    return [version.version for version in wanted.held]


def change(version: int, deadline: float = NOW + 1, **more: Any) -> Change:
    """A running change of all traffic to `version`."""
    return Change(all_to(version), "me", f"promote m to version {version}", deadline, **more)
