"""What operators may ask about shadows, and how that comes into force."""

from dataclasses import replace
from typing import cast

import msgspec
import pytest

from driftgate.gateway.control.changes import Subject, promote
from driftgate.gateway.control.decide import decide
from driftgate.gateway.control.facts import Facts, Verified, VersionKey
from driftgate.gateway.control.holding import versions_needed
from driftgate.gateway.control.shadow_changes import MOST_SHADOWS, set_shadow
from driftgate.gateway.errors import Conflict, NotFound
from driftgate.gateway.serving.replica import shadows_of
from driftgate.gateway.serving.served import ServedVersion, Shadowing
from driftgate.gateway.state.desired import (
    TOTAL_PPM,
    Arm,
    DesiredModel,
    DesiredState,
    HeldVersion,
    Shadow,
    TrafficSplit,
)
from driftgate.gateway.state.status import SlotStatus, VersionStatus
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel, RegistrySnapshot
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import TensorSpec

from harness.manifests import paper_manifest

X, MORE = TensorSpec("x", "FP32", (-1, 2)), TensorSpec("more", "FP32", (-1, 1))
MANIFESTS: dict[int, Manifest] = {
    version: paper_manifest(version, 3 if version == 20 else 2) for version in (7, 8, 9, 10, 11, 12, 20)
}
MANIFESTS[21] = paper_manifest(21, inputs=(X, MORE), columns=(Column("more", "more", "FP32", missing=True),))
SHOWN = {
    version: PublishedVersion("m", version, f"d{version}", found) for version, found in MANIFESTS.items()
}
FACTS = Facts(
    now=1000.0,
    salt="ab",
    registry=RegistrySnapshot({"m": RegistryModel("m", SHOWN)}),
    verified={VersionKey("m", v): Verified(f"d{v}", 1, found) for v, found in MANIFESTS.items()},
)
MODEL = DesiredModel(
    TrafficSplit("00", (Arm("stable", 7, TOTAL_PPM),)), held=(HeldVersion(7, "d7", 1),), history=(7,)
)


def subject(model: DesiredModel = MODEL) -> Subject:
    """The model `m` as an operator meets it."""
    return Subject("m", model, FACTS, "me")


def ready(generation: int, *versions: int) -> SlotStatus:
    """A member with these versions ready."""
    states = tuple(VersionStatus("m", v, f"d{v}", "READY") for v in versions)
    return SlotStatus(0, "boot", 1, generation, True, states)


def state(model: DesiredModel, generation: int = 5) -> DesiredState:
    """A committed generation."""
    return DesiredState(generation=generation, previous="", who="", why="", at="", models={"m": model})


def test_a_shadow_is_prepared_before_it_is_one() -> None:
    """It is held first; rows are copied once every member is ready; the split does not move."""
    asked = set_shadow(subject(), 8, 100_000)
    assert (asked.shadows, versions_needed(asked)) == ((), frozenset({7, 8}))
    waiting = decide(state(asked), replace(FACTS, slots=(ready(5, 7),)))
    assert waiting is not None
    held = waiting.models["m"]
    assert ({one.version for one in held.held} >= {7, 8}, held.shadows) == (True, ())
    versions = [one.version for one in held.held]
    done = decide(state(held, 6), replace(FACTS, slots=(ready(6, *versions),)))
    assert done is not None
    after = done.models["m"]
    assert (after.shadows, after.split, after.change) == ((Shadow(8, 100_000),), MODEL.split, None)
    assert (done.who, done.why) == ("me", "copy 10 % of the calls of m to version 8")


def test_shares_replace_each_other_and_zero_ends() -> None:
    """One version has one share; others keep theirs; what is so already changes nothing."""
    model = msgspec.structs.replace(MODEL, shadows=(Shadow(8), Shadow(9)))
    asked = set_shadow(subject(model), 8, 5000).change
    ended = set_shadow(subject(model), 8, 0).change
    assert asked is not None
    assert ended is not None
    assert (asked.shadows, ended.shadows) == ((Shadow(9), Shadow(8, 5000)), (Shadow(9),))
    assert set_shadow(subject(model), 9, TOTAL_PPM) == model
    assert set_shadow(subject(), 8, 0) == MODEL


FULL = msgspec.structs.replace(
    MODEL, shadows=tuple(Shadow(version) for version in range(9, 9 + MOST_SHADOWS))
)
RUNNING = set_shadow(subject(), 9, TOTAL_PPM)


@pytest.mark.parametrize(
    ("model", "version", "error", "text"),
    [
        (MODEL, 6, NotFound, "there is no version 6 of m"),
        (MODEL, 7, Conflict, "version 7 of m answers all calls itself"),
        (MODEL, 20, Conflict, "input 'x' has shape [-1, 3] instead of [-1, 2]"),
        (MODEL, 21, Conflict, "has inputs that version 7 does not have: more"),
        (FULL, 8, Conflict, f"m has {MOST_SHADOWS} shadows already"),
        (RUNNING, 8, Conflict, "another change of m is running"),
        (DesiredModel(TrafficSplit("00")), 8, Conflict, "m has no version with traffic"),
    ],
)
def test_what_cannot_follow_is_refused(
    model: DesiredModel, version: int, error: type[Exception], text: str
) -> None:
    """A shadow must be able to compute the very rows of the stable version."""
    with pytest.raises(error) as raised:
        set_shadow(subject(model), version, TOTAL_PPM)
    assert text in str(raised.value)


def test_a_promoted_shadow_is_none_any_more() -> None:
    """What has all the traffic copies nothing to itself, nor to what comes after it."""
    model = msgspec.structs.replace(
        MODEL, shadows=(Shadow(8), Shadow(9)), held=tuple(HeldVersion(v, f"d{v}", 1) for v in (7, 8, 9))
    )
    asked = promote(subject(model), 8)
    step = decide(state(asked), replace(FACTS, registry=None, slots=(ready(5, 7, 8, 9),)))
    assert step is not None
    assert step.models["m"].shadows == (Shadow(9),)


def test_an_ejected_shadow_may_try_again() -> None:
    """Asking for it once more ends its ejection when the change is in force."""
    model = msgspec.structs.replace(MODEL, shadows=(Shadow(8),), ejected={"8": "it crashed"})
    held = msgspec.structs.replace(
        set_shadow(subject(model), 8, TOTAL_PPM), held=(HeldVersion(7, "d7", 1), HeldVersion(8, "d8", 1))
    )
    step = decide(state(held), replace(FACTS, registry=None, slots=(ready(5, 7, 8),)))
    assert step is not None
    assert (step.models["m"].ejected, step.models["m"].shadows) == ({}, (Shadow(8),))


def test_only_versions_with_traffic_are_followed() -> None:
    """Copies are made of what the split serves; neither the shadow nor an idle version has shadows."""
    model = msgspec.structs.replace(
        MODEL, shadows=(Shadow(8, 10), Shadow(9, 20)), ejected={"9": "it crashed"}
    )
    loaded = {version: cast(ServedVersion, f"v{version}") for version in (7, 8, 9)}
    assert shadows_of(7, model, loaded) == (Shadowing(loaded[8], 10),)
    assert shadows_of(8, model, loaded) == ()
    assert shadows_of(7, model, {7: loaded[7]}) == ()
