"""Which versions stay loaded, how arms are named, where a rollback goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.control.holding import (
    arms_for,
    history_after,
    labels_of,
    rollback_target,
    versions_needed,
    versions_to_hold,
)
from driftgate.gateway.state.desired import TOTAL_PPM, Arm, Change, DesiredModel, HeldVersion, TrafficSplit
from driftgate.models.registry.settings import ModelSettings, VersionPolicy


def split(**weights: int) -> TrafficSplit:
    """A split such as split(v7=900_000, v8=100_000)."""
    return TrafficSplit("00", arms_for({int(name[1:]): weight for name, weight in weights.items()}, EMPTY))


EMPTY = TrafficSplit("00")
CANARY = DesiredModel(split(v7=900_000, v8=100_000), history=(7,))


def change(version: int, pin: int | None = None) -> Change:
    """A change that gives `version` all traffic."""
    return Change((Arm("stable", version, TOTAL_PPM),), "me", "why", 0.0, pin=pin)


@pytest.mark.parametrize("newest", range(8, 13))
def test_versions_with_traffic_outlive_every_newer_one(newest: int) -> None:
    """Versions 8 to 12 arrive while 7 is stable and 8 has a share: 7 and 8 are never dropped."""
    available = tuple(range(7, newest + 1))
    assert versions_to_hold(CANARY, available) == {7, 8, newest}


@pytest.mark.parametrize(
    ("model", "available", "held"),
    [
        (DesiredModel(EMPTY), (1, 2, 3), {3}),
        (DesiredModel(EMPTY, ModelSettings(versions=VersionPolicy(latest=2))), (1, 2, 3), {2, 3}),
        (DesiredModel(EMPTY, ModelSettings(versions=VersionPolicy(all=True))), (1, 2, 3), {1, 2, 3}),
        (DesiredModel(EMPTY, ModelSettings(versions=VersionPolicy(specific=(1, 9)))), (1, 2, 3), {1}),
        (DesiredModel(split(v9=TOTAL_PPM), history=(9, 4, 2)), (9,), {9, 4}),
        (DesiredModel(split(v9=TOTAL_PPM), pinned=3), (9,), {9, 3}),
        (DesiredModel(split(v9=TOTAL_PPM), change=change(5)), (9,), {9, 5}),
        (DesiredModel(split(v9=TOTAL_PPM), history=(9,)), (), {9}),
        (DesiredModel(split(v9=TOTAL_PPM), history=(9, 8), unloaded=True), (9,), set()),
    ],
)
def test_held_is_the_policy_and_what_is_needed(
    model: DesiredModel, available: tuple[int, ...], held: set[int]
) -> None:
    """Policy, weight, running change, pin and the last two at 100 % each hold; unloaded holds none."""
    assert versions_to_hold(model, available) == held


@given(st.frozensets(st.integers(1, 20)))
def test_the_registry_cannot_make_a_needed_version_go(available: frozenset[int]) -> None:
    """Whatever the registry shows, what is needed is held."""
    assert versions_to_hold(CANARY, tuple(sorted(available))) >= versions_needed(CANARY)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (DesiredModel(split(v8=TOTAL_PPM), history=(8, 5, 3)), 5),
        (DesiredModel(split(v7=900_000, v8=100_000), history=(7, 5)), 7),
        (DesiredModel(split(v7=TOTAL_PPM), history=(7, 5), change=change(8)), 7),
        (DesiredModel(split(v8=TOTAL_PPM), history=(8, 5), change=change(5, pin=5)), 5),
        (DesiredModel(split(v8=TOTAL_PPM), history=(8,)), None),
        (DesiredModel(EMPTY), None),
        (DesiredModel(split(v8=TOTAL_PPM), history=(8, 5, 3), held=(HeldVersion(3, "", 1),)), 3),
        (DesiredModel(split(v8=TOTAL_PPM), history=(8, 5, 3), held=(HeldVersion(5, "", 1),)), 5),
    ],
)
def test_a_rollback_goes_to_the_last_version_that_had_all_traffic(
    model: DesiredModel, target: int | None
) -> None:
    """Not "number minus one"; a canary or a running change is what it goes back from."""
    assert rollback_target(model) == target


def test_a_rollback_forgets_what_it_left() -> None:
    """After 5, 7, 8 and a rollback to 7 the next rollback goes to 5, not to 8."""
    assert history_after((8, 7, 5), 7, rolled_back=True) == (7, 5)


def test_history_has_no_repeats() -> None:
    """A version that gets all traffic again moves to the front."""
    assert history_after((8, 7, 5), 5, rolled_back=False) == (5, 8, 7)


def test_arms_keep_their_order_when_weights_change() -> None:
    """Keys move between intervals only where a border moves, so present arms keep their places."""
    present = split(v7=900_000, v8=100_000)
    changed = arms_for({9: 100_000, 8: 500_000, 7: 400_000}, TrafficSplit("00", present.arms))
    assert [(arm.version, arm.name) for arm in changed] == [(7, "v7"), (8, "stable"), (9, "v9")]


def test_the_second_of_two_arms_is_the_canary() -> None:
    """The arm with most traffic is stable; among equals the earlier one is."""
    arms = arms_for({7: 500_000, 8: 500_000}, EMPTY)
    assert [arm.name for arm in arms] == ["stable", "canary"]


@given(st.dictionaries(st.integers(1, 30), st.integers(0, TOTAL_PPM), min_size=1, max_size=6))
def test_arms_are_the_versions_with_weight(weights: dict[int, int]) -> None:
    """No arm without weight, none twice, and names are unique."""
    arms = arms_for(weights, CANARY.split)
    assert {arm.version: arm.weight_ppm for arm in arms} == {v: w for v, w in weights.items() if w}
    assert len({arm.name for arm in arms}) == len(arms)


def test_labels_are_derived() -> None:
    """`stable` is what has the most traffic, `latest` the newest that is held."""
    model = DesiredModel(CANARY.split, held=(HeldVersion(7, "a", 1), HeldVersion(9, "b", 1)))
    assert (labels_of(model).stable, labels_of(model).latest) == (7, 9)
