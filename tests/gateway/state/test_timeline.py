"""What generations and journals tell, merged by time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.desired import (
    Arm,
    Assignment,
    DesiredModel,
    DesiredState,
    HeldVersion,
    KeySource,
    Shadow,
    TrafficSplit,
)
from driftgate.gateway.state.events import Event, events_between
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore
from driftgate.gateway.state.journal import Journal
from driftgate.gateway.state.timeline import Wanted, events_since, verify
from driftgate.models.registry.settings import ModelSettings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL = (Arm("stable", 1, 1_000_000),)
HALF = (Arm("stable", 1, 500_000), Arm("canary", 2, 500_000))
BASE = DesiredModel(TrafficSplit("00", ALL), held=(HeldVersion(1, "d1", 1),), history=(1,))


def at(minute: int) -> str:
    return (NOON + timedelta(minutes=minute)).isoformat(timespec="milliseconds")


def state(model: DesiredModel | None, generation: int = 2, **fields: object) -> DesiredState:
    known = DesiredState(
        generation=generation, previous="", who="ann", why="because", at=at(generation), models={}
    )
    return replace(known, models={"m": model} if model else {}, **fields)


def changed(**fields: object) -> DesiredModel:
    return replace(BASE, **fields)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (
            changed(held=(HeldVersion(1, "d1", 1), HeldVersion(2, "d2", 1))),
            ["version_loaded 2 because", "labels 0 because (latest 1 → 2)"],
        ),
        (changed(held=()), ["version_unloaded 1 because", "labels 0 because (latest 1 → none)"]),
        (
            changed(split=TrafficSplit("00", HALF)),
            [
                "traffic 1 because (1: 100 % → 1: 50 %, 2: 50 %)",
                "labels 0 because (canary none → 2)",
            ],
        ),
        (
            changed(split=TrafficSplit("00", ALL, "01", Assignment(KeySource("input", "user"), "variant"))),
            [
                "traffic 1 because (by header x-routing-key with the salt rollout → "
                "by input user with the salt variant)"
            ],
        ),
        (
            changed(split=TrafficSplit("00", HALF), pinned=1),
            [
                "rollback 1 because (1: 100 % → 1: 50 %, 2: 50 %)",
                "pinned 1 because",
                "labels 0 because (canary none → 2)",
            ],
        ),
        (changed(pinned=1), ["pinned 1 because"]),
        (changed(settings=ModelSettings(owner="x")), ['settings 0 because (owner: "" → "x")']),
        (changed(shadows=(Shadow(2),)), ["shadow 0 because (2: 100 %)"]),
        (changed(ejected={"2": "it crashed"}), ["version_ejected 2 because (it crashed)"]),
        (
            changed(ejected={"2": "it crashed"}, refused={"2": "ejected: it crashed"}),
            ["version_ejected 2 because (it crashed)"],
        ),
        (changed(refused={"2": "too large"}), ["change_refused 2 because (too large)"]),
        (None, ["model_gone 0 because"]),
        (BASE, ["generation 0 because"]),
    ],
)
def test_a_generation_tells_what_it_changed(after: DesiredModel | None, expected: list[str]) -> None:
    """Every kind of change is an event of its own, with who and why of the generation."""
    events = events_between(state(BASE, 1), state(after, 2))
    assert [f"{event.kind} {event.version} {event.why}" for event in events] == expected
    assert {(event.who, event.generation, event.at) for event in events} == {("ann", 2, at(2))}


def test_the_first_generation_follows_nothing() -> None:
    """What the first generation holds is new."""
    kinds = [event.kind for event in events_between(None, state(BASE, 1))]
    assert kinds == ["version_loaded", "traffic", "labels"]


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    """Generations at minutes 1 to 3, lines of the supervisor at 0 and 2, of control at 4."""
    layout = StateLayout(tmp_path)
    layout.desired.mkdir()
    store, digest = GenerationStore(layout.desired), NO_PREDECESSOR
    for generation, model in enumerate((BASE, changed(pinned=1), BASE), start=1):
        store.commit(state(model, generation, previous=digest))
        digest = store.digest(generation)
    for name, minutes in (("supervisor", (0, 2)), ("control", (4,))):
        journal = Journal(layout.events, name)
        for minute in minutes:
            journal.append(Event(at=at(minute), kind=f"{name}_{minute}", who=name))
        journal.close()
    return layout


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(NOON), "supervisor_0 version_loaded traffic labels supervisor_2 pinned unpinned control_4"),
        (Wanted(NOON + timedelta(minutes=2)), "supervisor_2 pinned unpinned control_4"),
        (Wanted(NOON, model="m"), "version_loaded traffic labels pinned unpinned"),
        (Wanted(NOON, limit=2), "unpinned control_4"),
        (Wanted(NOON + timedelta(days=1)), ""),
    ],
)
def test_events_are_merged_by_time(layout: StateLayout, wanted: Wanted, expected: str) -> None:
    """The newest that are asked for, oldest first, whichever file they come from."""
    found = events_since(layout, wanted)
    assert sorted(event.kind for event in found) == sorted(expected.split())
    of_generations = [event.kind for event in found if event.generation]
    assert of_generations == [kind for kind in expected.split() if kind in of_generations]
    assert [event.at for event in found] == sorted(event.at for event in found)


def test_every_chain_is_checked(layout: StateLayout) -> None:
    """What is altered is named in every chain, not only in the first."""
    assert verify(layout).damage == ()
    second = layout.desired / "2.json"
    second.write_bytes(second.read_bytes().replace(b"because", b"becuase"))
    line = next(layout.events.glob("supervisor-*"))
    line.write_bytes(line.read_bytes().replace(b"supervisor_0", b"supervisor_9"))
    generation, journal = verify(layout).damage
    assert "generation 3 does not follow generation 2" in generation
    assert "events/supervisor-000000000001.jsonl, line 2" in journal


def test_a_state_directory_without_journals_has_a_timeline(tmp_path: Path) -> None:
    """Before anything happened there is nothing to tell, and nothing is damaged."""
    layout = StateLayout(tmp_path)
    assert events_since(layout, Wanted(NOON)) == []
    assert verify(layout).damage == ()
