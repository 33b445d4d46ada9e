"""Evidence: what supervisors and workers wrote is found, and only while there is something to decide."""

from pathlib import Path

import msgspec
import pytest

from driftgate.gateway.control.evidence import Count, Evidence, EvidenceKeeper
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.counters import NONFINITE, CounterFile
from driftgate.gateway.state.crashes import MOST_CRASHES, Crash, CrashBook, read_crashes
from driftgate.gateway.state.desired import Arm, DesiredModel, DesiredState, HeldVersion, TrafficSplit
from driftgate.gateway.state.status import SlotStatus, VersionState, VersionStatus

SPLIT = TrafficSplit("00", (Arm("stable", 7, 900_000), Arm("canary", 8, 100_000)))
MODEL = DesiredModel(SPLIT, held=(HeldVersion(7, "d7", 1), HeldVersion(8, "d8", 1)))


def state(model: DesiredModel = MODEL) -> DesiredState:
    """A committed generation."""
    return DesiredState(generation=3, previous="", who="", why="", at="", models={"m": model})


def slot(canary: VersionState) -> SlotStatus:
    """A live slot that has the stable version, and the canary in some state."""
    versions = (VersionStatus("m", 7, "d7", "READY"), VersionStatus("m", 8, "d8", canary))
    return SlotStatus(0, "boot", 1, 3, True, versions)


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    """A state directory in which one slot has counted 30 answers of the canary, all without a number."""
    layout = StateLayout(tmp_path)
    layout.slot(0).mkdir(parents=True)
    counters = CounterFile(layout.counters(0)).of("m", "8")
    for _ in range(30):
        counters.answered(200, 1, 1, 1)
        counters.cells[NONFINITE] += 1
    return layout


def test_crashes_are_kept_in_order_and_bounded(tmp_path: Path) -> None:
    """The book keeps the latest crashes, whoever opened it; a damaged file is an empty one."""
    path = tmp_path / "crashes.json"
    assert read_crashes(path) == ()
    for number in range(MOST_CRASHES + 3):
        CrashBook(path).note(Crash("b", "worker-0", "SIGSEGV", ("m/8",), number, 0.0))
    assert [crash.generation for crash in read_crashes(path)] == list(range(3, MOST_CRASHES + 3))
    path.write_text("{")
    assert read_crashes(path) == ()


def test_without_a_choice_nothing_is_looked_at(layout: StateLayout) -> None:
    """A model with one version has nobody to eject."""
    sole = DesiredModel(TrafficSplit("00", (Arm("stable", 7, 1_000_000),)))
    assert EvidenceKeeper(layout).look(state(sole), (), 0.0) == Evidence()


def test_counts_are_added_over_time(layout: StateLayout) -> None:
    """A look is kept if it shows something new of the canary, so that they reach back at any pace."""
    keeper = EvidenceKeeper(layout)
    found = keeper.look(state(), (), 1.0)
    assert [(look.generation, look.counts["m/8"]) for look in found.looks] == [(3, Count(30, 30))]
    assert len(keeper.look(state(), (), 2.0).looks) == 1
    CounterFile(layout.counters(0)).of("m", "8").answered(200, 1, 1, 1)
    assert len(keeper.look(state(), (), 2.01).looks) == 1
    assert [look.counts["m/8"] for look in keeper.look(state(), (), 3.0).looks] == [
        Count(30, 30),
        Count(31, 30),
    ]


def test_what_nobody_can_load_is_timed(layout: StateLayout) -> None:
    """The time runs while every live slot says UNAVAILABLE, and begins anew after one could."""
    keeper = EvidenceKeeper(layout)
    stuck, well = slot("UNAVAILABLE"), slot("READY")
    other = msgspec.structs.replace(well, slot=1)
    assert keeper.look(state(), (stuck, other), 1.0).unloadable_s == {}
    assert keeper.look(state(), (stuck,), 2.0).unloadable_s == {"m/8": 0.0}
    assert keeper.look(state(), (stuck,), 5.0).unloadable_s == {"m/8": 3.0}
    assert keeper.look(state(), (), 6.0).unloadable_s == {}
    assert keeper.look(state(), (stuck,), 7.0).unloadable_s == {"m/8": 0.0}
