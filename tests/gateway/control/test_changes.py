"""What operators may ask, and what they are told where they may not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.control import changes
from driftgate.gateway.control.changes import Subject, find_subject
from driftgate.gateway.control.facts import Facts, Verified, VersionKey
from driftgate.gateway.errors import BadRequest, Conflict, NotFound
from driftgate.gateway.state.desired import (
    TOTAL_PPM,
    Arm,
    DesiredModel,
    DesiredState,
    HeldVersion,
    TrafficSplit,
)
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel, RegistrySnapshot

from harness.manifests import paper_manifest

NOW = 1000.0
ALL = TOTAL_PPM


def published(version: int, width: int = 2) -> PublishedVersion:
    """A version in the registry."""
    return PublishedVersion("m", version, f"d{version}", paper_manifest(version, width))


VERSIONS = {5: published(5), 7: published(7), 8: published(8), 9: published(9, width=3), 10: published(10)}
FACTS = Facts(
    now=NOW,
    salt="ab",
    registry=RegistrySnapshot({"m": RegistryModel("m", VERSIONS), "fresh": RegistryModel("fresh", {})}),
    verified={VersionKey("m", v): Verified(f"d{v}", 1, p.manifest) for v, p in VERSIONS.items() if v < 10},
    failed={VersionKey("m", 10): "its golden outputs differ"},
)
MODEL = DesiredModel(
    TrafficSplit("00", (Arm("stable", 7, ALL),)),
    held=tuple(HeldVersion(v, f"d{v}", 1) for v in (5, 7, 8, 9)),
    history=(7, 5),
)


def subject(model: DesiredModel = MODEL) -> Subject:
    """The model `m` as an operator meets it."""
    return Subject("m", model, FACTS, "me")


def test_promote_asks_for_all_traffic() -> None:
    """The answer is a change that waits for the workers, not a new split."""
    asked = changes.promote(subject(), 8)
    assert asked.split == MODEL.split
    assert asked.change is not None
    assert asked.change.arms == (Arm("stable", 8, ALL),)
    assert asked.change.deadline == NOW + FACTS.limits.prepare_timeout_s


@pytest.mark.parametrize(
    ("version", "error", "text"),
    [
        (6, NotFound, "there is no version 6 of m"),
        (10, Conflict, "version 10 of m cannot be loaded: its golden outputs differ"),
        (9, Conflict, "input 'x' has shape [-1, 3] instead of [-1, 2]"),
    ],
)
def test_promote_refuses_what_cannot_serve(version: int, error: type[Exception], text: str) -> None:
    """Unknown, failed and incompatible versions are refused with the reason."""
    with pytest.raises(error) as raised:
        changes.promote(subject(), version)
    assert text in str(raised.value)


def test_force_promotes_a_version_with_other_inputs() -> None:
    """An operator may decide that clients change too; no split can share both."""
    assert changes.promote(subject(), 9, force=True).change is not None
    with pytest.raises(Conflict):
        changes.set_traffic(subject(), {7: ALL // 2, 9: ALL // 2})


def test_promoting_what_is_promoted_changes_nothing() -> None:
    """The same request twice is one change."""
    assert changes.promote(subject(), 7) == MODEL


def test_a_pin_stands_against_promote_and_traffic() -> None:
    """After a rollback nobody moves the traffic back by accident."""
    pinned = changes.pin(subject())
    assert pinned.pinned == 7
    with pytest.raises(Conflict, match="models unpin m"):
        changes.promote(subject(pinned), 8)
    with pytest.raises(Conflict, match="models unpin m"):
        changes.set_traffic(subject(pinned), {8: ALL})
    assert changes.promote(subject(changes.unpin(subject(pinned))), 8).change is not None


def test_a_pin_ends_a_running_change() -> None:
    """What is pinned stays where it is, even if a promotion was on its way."""
    assert changes.pin(subject(changes.promote(subject(), 8))).change is None


def test_rollback_pins_its_target() -> None:
    """The change goes to the last version with all traffic, and pins it when it is committed."""
    asked = changes.rollback(subject())
    assert asked.change is not None
    assert (asked.change.arms, asked.change.pin) == ((Arm("stable", 5, ALL),), 5)


def test_rollback_needs_somewhere_to_go() -> None:
    """Without an earlier version there is nothing to go back to."""
    lone = DesiredModel(MODEL.split, held=MODEL.held, history=(7,))
    with pytest.raises(Conflict):
        changes.rollback(subject(lone))


def test_unloading_what_has_traffic_needs_force() -> None:
    """Nobody takes a model from its clients without saying so; loading it again starts from its history."""
    with pytest.raises(Conflict, match="force"):
        changes.unload(subject())
    gone = changes.unload(subject(), force=True)
    assert (gone.unloaded, gone.split.arms, gone.history) == (True, (), (7, 5))
    assert not changes.load(subject(gone)).unloaded
    for ask in (changes.rollback, lambda it: changes.promote(it, 5)):
        with pytest.raises(Conflict, match="driftgate models load m"):
            ask(subject(gone))


def test_a_second_try_forgets_the_first_refusal() -> None:
    """An operator who asks again means it."""
    refused = DesiredModel(MODEL.split, held=MODEL.held, refused={"8": "slow", "9": "wide"})
    assert changes.promote(subject(refused), 8).refused == {"9": "wide"}


def test_subjects_are_models_of_state_or_registry() -> None:
    """A model that was only published can be asked for; an unknown one cannot."""
    state = DesiredState(generation=1, previous="", who="", why="", at="", models={"m": MODEL})
    assert find_subject("fresh", state, FACTS, "me").model.split.salt == "ab"
    assert find_subject("m", state, FACTS, "me").model is MODEL
    with pytest.raises(NotFound):
        find_subject("nope", state, FACTS, "me")


@pytest.mark.parametrize(
    "arms",
    [
        {},
        {"7": 90.0},
        {"7": 110.0, "8": -10.0},
        {"7": math.nan, "8": 100.0},
        {"7": math.inf},
        {"7": 99.99999, "8": 0.00001},
        {"07": 100.0},
        {"0": 100.0},
        {"x": 100.0},
        {"": 100.0},
        {"\u0667": 100.0},
        {str(version): 0.5 for version in range(1, 201)},
    ],
)
def test_weights_that_are_no_split_are_refused(arms: dict[str, float]) -> None:
    """Negative, not summing, not finite, too fine, too many, or under no version: refused with a text."""
    with pytest.raises(BadRequest):
        changes.weights_from_percent(arms)


@given(st.integers(0, ALL))
def test_percentages_keep_every_ppm(weight: int) -> None:
    """Four decimals of a percentage are exact, whatever their binary form."""
    arms = {"7": weight / 10_000, "8": (ALL - weight) / 10_000}
    assert changes.weights_from_percent(arms) == {7: weight, 8: ALL - weight}
    assert changes.weights_from_ppm({"7": weight, "8": ALL - weight}) == {7: weight, 8: ALL - weight}
