"""How a running change of traffic ends, as tables: committed, given a second try, or failed as a whole."""

from dataclasses import replace

import msgspec
import pytest

from driftgate.gateway.control.decide import Proposal, decide
from driftgate.gateway.control.facts import VersionKey
from driftgate.gateway.state.status import SlotStatus, VersionState, VersionStatus

from harness.decisions import (
    AUTO,
    NOW,
    TIMEOUT,
    all_to,
    change,
    facts,
    model,
    next_model,
    registry,
    slot,
    state,
)


def test_a_first_version_waits_for_members() -> None:
    """With members the version is prepared first; it gets weight when every member is ready."""
    prepared = next_model(state(None), facts(registry(1), slot(), slot(number=1)))
    assert prepared.change is not None
    assert prepared.split.arms == ()
    half = facts(registry(1), slot(1), slot(number=1))
    assert decide(state(prepared), half) is None
    whole = facts(registry(1), slot(1), slot(1, number=1))
    assert next_model(state(prepared), whole).split.arms == all_to(1)


@pytest.mark.parametrize(
    "members",
    [
        (slot(1, 2), slot(1, number=1)),
        (slot(1, 2), slot(1, 2, number=1, generation=4)),
        (slot(1),),
        (),
    ],
    ids=["one not ready", "one that has not looked", "none ready", "no members"],
)
def test_a_change_waits_for_every_member(members: tuple[SlotStatus, ...]) -> None:
    """Nobody switches until all hold the version in the newest generation."""
    wanted = model(1, 2, change=change(2))
    assert decide(state(wanted), facts(registry(1, 2), *members)) is None


def test_a_slot_that_does_not_accept_is_no_member() -> None:
    """A worker that is starting or draining is not waited for."""
    look = facts(registry(1, 2), slot(1, 2), slot(number=1, accepting=False))
    assert next_model(state(model(1, 2, change=change(2))), look).split.arms == all_to(2)


def test_a_rollback_works_while_no_worker_lives() -> None:
    """A version that had all traffic before has proven itself: nobody needs to agree."""
    wanted = model(2, 1, history=(2, 1), change=change(1, pin=1))
    moved = next_model(state(wanted), facts(registry(1, 2)))
    assert (moved.split.arms, moved.pinned, moved.history) == (all_to(1), 1, (1,))


def test_members_that_cannot_prepare_are_replaced_once() -> None:
    """After the deadline they are retired and get a second deadline; the others are left alone."""
    wanted = model(1, 2, change=change(2, deadline=NOW))
    proposal = decide(state(wanted), facts(registry(1, 2), slot(1, 2), slot(1, number=1)))
    assert proposal is not None
    again = proposal.models["m"].change
    assert proposal.retired_boots == ("boot1",)
    assert again is not None
    assert (again.replaced, again.deadline) == (True, NOW + TIMEOUT)


def test_a_change_fails_as_a_whole() -> None:
    """After the second deadline nothing has moved and the reason is kept with the version."""
    wanted = model(1, 2, settings=AUTO, change=change(2, deadline=NOW, replaced=True))
    broken = VersionStatus("m", 2, "d2", "UNAVAILABLE", "out of memory")
    stuck = slot(1, number=1)
    stuck = msgspec.structs.replace(stuck, versions=(*stuck.versions, broken))
    look = facts(registry(1, 2, settings=AUTO), slot(1, 2), stuck)
    failed = next_model(state(wanted), look)
    assert (failed.change, failed.split) == (None, wanted.split)
    assert failed.refused == {"2": "slot 1 could not prepare it in time: out of memory"}
    assert decide(state(failed), look) is None


def test_a_change_to_what_cannot_be_loaded_fails_at_once() -> None:
    """There is no point in waiting for a version whose checks failed."""
    wanted = model(1, change=change(2))
    look = facts(registry(1, 2), slot(1), proven=(1,))
    assert decide(state(wanted), look) is None
    failed = next_model(state(wanted), replace(look, failed={VersionKey("m", 2): "flipped bits"}))
    assert (failed.change, failed.refused) == (None, {"2": "flipped bits"})


def test_retired_boots_are_forgotten_when_they_are_gone() -> None:
    """The list stays as short as the number of workers."""
    proposal = decide(state(model(1), retired_boots=("boot0", "old")), facts(registry(1), slot(1)))
    assert proposal == Proposal({"m": model(1)}, ("boot0",), "control", "the retired workers are gone")


@pytest.mark.parametrize("said", ["LOADING", "UNAVAILABLE", "UNLOADING"])
def test_only_ready_is_ready(said: VersionState) -> None:
    """No other state counts for a commit."""
    status = VersionStatus("m", 2, "d2", said)
    look = facts(registry(1, 2), slot(versions=(status,)))
    assert decide(state(model(1, 2, change=change(2))), look) is None
