"""Buckets and their owners: what a change of weights moves, and that it moves nothing else."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from driftgate.gateway.control.holding import arms_for
from driftgate.gateway.routing.intervals import ArmMove, Owned, moves, owned_by, reassigned
from driftgate.gateway.state.desired import TOTAL_PPM, Arm, Assignment, KeySource, TrafficSplit

EMPTY = TrafficSplit("00" * 16, variant_salt="11" * 16)


@st.composite
def weights(draw: st.DrawFn, most: int = 200) -> dict[int, int]:
    """A split of all traffic among 1 to `most` versions."""
    versions = draw(st.lists(st.integers(1, most + 20), min_size=1, max_size=most, unique=True))
    edges = sorted(
        draw(st.sets(st.integers(1, TOTAL_PPM - 1), min_size=len(versions) - 1, max_size=len(versions) - 1))
    )
    starts = [0, *edges]
    return {v: stop - start for v, start, stop in zip(versions, starts, [*edges, TOTAL_PPM], strict=True)}


def owners(owned: Owned) -> NDArray[np.int32]:
    """The version of every bucket; fails where a bucket has none or two."""
    found = np.zeros(TOTAL_PPM, np.int32)
    for version, pieces in owned.items():
        for start, stop in pieces:
            assert not found[start:stop].any(), "a bucket has two owners"
            found[start:stop] = version
    assert found.all(), "a bucket has no owner"
    return found


def counts(versions: NDArray[np.int32]) -> dict[int, int]:
    """How many buckets each version has."""
    return {version: int(n) for version, n in enumerate(np.bincount(versions)) if n}


@given(st.lists(weights(), min_size=2, max_size=4))
def test_changes_move_what_they_announce_and_nothing_else(sequence: list[dict[int, int]]) -> None:
    """For any splits of 1 to 200 arms: shares are exact, and only arms that shrink lose keys."""
    split = replace(EMPTY, arms=arms_for(sequence[0], EMPTY))
    for wanted in sequence[1:]:
        after = replace(EMPTY, arms=arms_for(wanted, split))
        announced = moves(split, after)
        was, is_now = owners(owned_by(split.arms)), owners(owned_by(after.arms))
        moved = was != is_now
        assert np.count_nonzero(moved) == announced.moved_ppm
        assert counts(is_now) == wanted
        had = counts(was)
        for version in counts(was[moved]):
            assert wanted.get(version, 0) < had[version]
        joined = {move.version: move.joining_ppm for move in announced.arms if move.joining_ppm}
        assert joined == counts(is_now[moved])
        split = after


def test_a_ramp_up_and_a_promotion_keep_every_canary_key() -> None:
    """From 1 to 100 percent each step only adds keys to the canary."""
    split = replace(EMPTY, arms=arms_for({1: TOTAL_PPM}, EMPTY))
    before: set[int] = set()
    for percent in (1, 5, 25, 50, 100):
        weights = {1: (100 - percent) * 10_000, 2: percent * 10_000}
        split = replace(EMPTY, arms=arms_for(weights, split))
        now = set(np.flatnonzero(owners(owned_by(split.arms)) == 2).tolist())
        assert before <= now
        before = now
    assert split.arms == (Arm("stable", 2, TOTAL_PPM),)


def test_fragments_do_not_pile_up() -> None:
    """After a thousand changes among 16 arms the split is still a short list."""
    rng = np.random.default_rng(1)
    owned: Owned = {}
    for _ in range(1_000):
        edges = [0, *sorted(rng.choice(TOTAL_PPM - 1, 15, replace=False) + 1), TOTAL_PPM]
        versions = rng.choice(20, 16, replace=False) + 1
        sizes = zip(versions.tolist(), pairwise(edges), strict=True)
        owned = reassigned(owned, {version: int(stop - start) for version, (start, stop) in sizes})
        assert sum(map(len, owned.values())) <= 64
    owners(owned)


def test_what_comes_and_goes_is_named() -> None:
    """A canary of 5 percent takes 5 percent from the stable version."""
    before = replace(EMPTY, arms=arms_for({1: TOTAL_PPM}, EMPTY))
    after = replace(EMPTY, arms=arms_for({1: 950_000, 2: 50_000}, before))
    found = moves(before, after)
    assert (found.moved_ppm, found.rebuckets) == (50_000, False)
    assert found.arms == (ArmMove(1, 0, 50_000), ArmMove(2, 50_000, 0))


OTHER_KEY = Assignment(KeySource("prediction-id", ""))


@pytest.mark.parametrize("assignment", [OTHER_KEY, Assignment(salt="variant")])
def test_another_key_or_salt_deals_keys_out_anew(assignment: Assignment) -> None:
    """With two arms at 50 percent half of all keys move; with one arm nobody does."""
    halves = arms_for({1: 500_000, 2: 500_000}, EMPTY)
    found = moves(replace(EMPTY, arms=halves), replace(EMPTY, arms=halves, assignment=assignment))
    assert (found.rebuckets, found.moved_ppm) == (True, 500_000)
    lone = arms_for({1: TOTAL_PPM}, EMPTY)
    found = moves(replace(EMPTY, arms=lone), replace(EMPTY, arms=halves, assignment=assignment))
    assert (found.rebuckets, found.moved_ppm) == (False, 500_000)
