"""Ejection: who is taken out on which evidence, as tables, and who never is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.control.decide import decide
from driftgate.gateway.control.ejection import (
    CRASH_WINDOW_S,
    LEAST_ANSWERS,
    UNLOADABLE_S,
    check_not_ejected,
    crash_reason,
    harmful,
    nonfinite_reason,
    recent_count,
)
from driftgate.gateway.control.evidence import Count, CountLook, Evidence
from driftgate.gateway.control.facts import Facts
from driftgate.gateway.errors import Conflict
from driftgate.gateway.state.crashes import Crash
from driftgate.gateway.state.desired import (
    TOTAL_PPM,
    Arm,
    Change,
    DesiredModel,
    DesiredState,
    HeldVersion,
    Shadow,
    TrafficSplit,
)

NOW = 10_000.0
STABLE, CANARY, OTHER = "m/7", "m/8", "n/1"
SPLIT = TrafficSplit("00", (Arm("stable", 7, 900_000), Arm("canary", 8, 100_000)))
HELD = (HeldVersion(7, "d7", 1), HeldVersion(8, "d8", 1))
MODEL = DesiredModel(SPLIT, held=HELD, history=(7,), evidence_since=5)


def crash(*running: str, ending: str = "SIGSEGV", **more: Any) -> Crash:
    """A worker that ended while these versions ran."""
    given_: dict[str, Any] = {"generation": 5, "at": NOW - 1} | more
    return Crash("boot", "worker-0", ending, running, **given_)


def facts(**evidence: Any) -> Facts:
    """A look at nothing but evidence."""
    return Facts(NOW, "00", evidence=Evidence(**evidence))


def looks(*counts: tuple[int, int, int, int]) -> tuple[CountLook, ...]:
    """Looks with answers and non-finite ones, of the stable version and of the canary."""
    return tuple(CountLook(5, {STABLE: Count(a, b), CANARY: Count(c, d)}) for a, b, c, d in counts)


@pytest.mark.parametrize(
    ("crashes", "guilty"),
    [
        ([], False),
        ([crash(CANARY)], True),
        ([crash(CANARY, CANARY)], True),
        ([crash(CANARY, ending="SIGKILL")], False),
        ([crash(CANARY, ending="SIGKILL", hung=True)], True),
        ([crash(CANARY, ending="SIGKILL")] * 2, True),
        ([crash(CANARY, STABLE)], False),
        ([crash(CANARY, STABLE)] * 3, False),
        ([crash(CANARY, STABLE), crash(CANARY, OTHER)], True),
        ([crash(STABLE)], False),
        ([crash(STABLE), crash(CANARY)], False),
        ([crash(STABLE), crash(CANARY), crash(CANARY)], True),
        ([crash(STABLE, ending="SIGKILL")] * 5 + [crash(CANARY, ending="SIGKILL")] * 2, False),
        ([crash(OTHER), crash(OTHER)], False),
    ],
)
def test_who_is_guilty_of_crashes(crashes: list[Crash], guilty: bool) -> None:
    """One crash alone by its own fault is enough, else two without a common companion; never if all crash."""
    assert bool(crash_reason(CANARY, STABLE, crashes)) is guilty


@given(st.lists(st.sampled_from([crash(CANARY), crash(STABLE), crash(CANARY, STABLE)]), max_size=12))
def test_of_two_versions_at_most_one_is_guilty(crashes: list[Crash]) -> None:
    """The same crashes never speak against both of two versions."""
    assert not (crash_reason(CANARY, STABLE, crashes) and crash_reason(STABLE, CANARY, crashes))


@pytest.mark.parametrize(
    ("counts", "guilty"),
    [
        ([(0, 0, 0, 0), (200, 0, 20, 20)], True),
        ([(0, 0, 0, 0), (200, 0, 19, 19)], False),
        ([(0, 0, 0, 0), (200, 0, 40, 30)], False),
        ([(0, 0, 0, 0), (200, 200, 20, 20)], False),
        ([(0, 0, 0, 0), (0, 0, 20, 20)], True),
        ([(0, 0, 0, 0), (900, 0, 500, 0), (1000, 0, 530, 30)], True),
        ([(0, 0, 0, 0), (200, 0, 0, 25)], True),
        ([(900, 0, 500, 500), (900, 0, 500, 500)], False),
        ([(0, 0, 500, 500)], False),
    ],
)
def test_who_is_guilty_of_nonfinite_answers(counts: list[tuple[int, int, int, int]], guilty: bool) -> None:
    """It takes the latest answers, enough of them, nearly all without a number, and a stable one with."""
    assert bool(nonfinite_reason(CANARY, STABLE, looks(*counts))) is guilty


def test_the_latest_answers_count() -> None:
    """What is looked at is the shortest recent time with enough answers."""
    found = recent_count(CANARY, looks((0, 0, 0, 0), (0, 0, 100, 0), (0, 0, 110, 10), (0, 0, 130, 30)))
    assert found == Count(20, 20)
    assert sum(found) >= LEAST_ANSWERS


@pytest.mark.parametrize(
    ("model", "evidence", "guilty"),
    [
        (MODEL, {"crashes": (crash(CANARY),)}, {8}),
        (MODEL, {"crashes": (crash(CANARY, generation=4),)}, set()),
        (MODEL, {"crashes": (crash(CANARY, at=NOW - CRASH_WINDOW_S),)}, set()),
        (MODEL, {"crashes": (crash(STABLE), crash(STABLE))}, set()),
        (MODEL, {"unloadable_s": {CANARY: UNLOADABLE_S}}, {8}),
        (MODEL, {"unloadable_s": {CANARY: UNLOADABLE_S / 2}}, set()),
        (MODEL, {"unloadable_s": {STABLE: 99.0}}, set()),
        (MODEL, {"unloadable_s": {STABLE: 99.0, CANARY: 99.0}}, set()),
        (MODEL, {"unloadable_s": {STABLE: 99.0}, "crashes": (crash(CANARY),)}, set()),
        (msgspec.structs.replace(MODEL, ejected={"8": "x"}), {"crashes": (crash(CANARY),)}, set()),
        (msgspec.structs.replace(MODEL, shadows=(Shadow(9),)), {"crashes": (crash("m/9"),)}, {9}),
        (
            DesiredModel(TrafficSplit("00", (Arm("stable", 8, TOTAL_PPM),))),
            {"crashes": (crash(CANARY),)},
            set(),
        ),
        (DesiredModel(TrafficSplit("00")), {"crashes": (crash(CANARY),)}, set()),
    ],
)
def test_who_is_harmful(model: DesiredModel, evidence: dict[str, Any], guilty: set[int]) -> None:
    """Canaries and shadows can be; never the stable version, nor anybody while that one cannot answer."""
    assert set(harmful("m", model, facts(**evidence))) == guilty


def test_an_ejection_is_a_generation_of_control() -> None:
    """It leaves the split alone, ends a change towards the version, and says why."""
    change = Change(SPLIT.arms, "me", "ramp", NOW + 10)
    model = msgspec.structs.replace(MODEL, change=change)
    state = DesiredState(generation=6, previous="", who="", why="", at="", models={"m": model})
    proposal = decide(state, facts(crashes=(crash(CANARY),)))
    assert proposal is not None
    after = proposal.models["m"]
    assert (after.split, after.change, after.ejected_versions) == (SPLIT, None, frozenset({8}))
    assert "SIGSEGV" in after.ejected["8"]
    assert after.refused["8"] == f"ejected: {after.ejected['8']}"
    assert proposal.who == "control"
    assert proposal.why.startswith(
        "version 8 of m is ejected, version 7 answers in its place: a worker ended"
    )


def test_a_new_ramp_needs_force() -> None:
    """What was ejected gets traffic again only if an operator insists."""
    ejected = msgspec.structs.replace(MODEL, ejected={"8": "it crashed"})
    check_not_ejected("m", ejected, (7,))
    with pytest.raises(Conflict, match="version 8 of m was ejected: it crashed"):
        check_not_ejected("m", ejected, (7, 8))
