"""Slots: one process each, and membership only for the living."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.beat import Beat, BeatState, mark_dead, read_beat
from driftgate.gateway.state.slots import (
    SlotLease,
    SlotTaken,
    beat_path,
    bury_dead_slots,
    live_slots,
    read_status,
    slot_numbers,
    write_status,
)
from driftgate.gateway.state.status import SlotStatus, VersionStatus

SECOND = 1_000_000_000


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    return StateLayout(tmp_path / "state")


def occupy(layout: StateLayout, number: int, boot: str = "boot", now_ns: int = 10 * SECOND) -> Beat:
    """Make the files of a slot whose process is alive at `now_ns`."""
    layout.slot(number).mkdir(parents=True, exist_ok=True)
    write_status(layout, SlotStatus(number, boot, os.getpid(), accepting=True))
    return Beat.create(beat_path(layout, number), boot, os.getpid(), now_ns)


def test_a_slot_has_one_holder(layout: StateLayout) -> None:
    """A second process is refused, told who holds the slot, and gets it once it is free."""
    lease = SlotLease.acquire(layout, 3)
    with pytest.raises(SlotTaken, match=rf"slot 3 is held by process {os.getpid()}"):
        SlotLease.acquire(layout, 3)
    SlotLease.acquire(layout, 4).release()
    lease.release()
    SlotLease.acquire(layout, 3).release()


def test_a_lease_ends_with_its_process(layout: StateLayout) -> None:
    """SIGKILL frees the slot at once."""
    holder = (
        "import os, signal; from pathlib import Path\n"
        "from driftgate.gateway.layout import StateLayout\n"
        "from driftgate.gateway.state.slots import SlotLease\n"
        f"SlotLease.acquire(StateLayout(Path({str(layout.root)!r})), 0)\n"
        "print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(SlotTaken, match=str(process.pid)):
            SlotLease.acquire(layout, 0)
        process.send_signal(signal.SIGKILL)
    SlotLease.acquire(layout, 0).release()


def test_a_status_is_read_as_written(layout: StateLayout) -> None:
    """`status.json` round-trips, and each write replaces the one before."""
    layout.slot(1).mkdir(parents=True)
    first = SlotStatus(1, "boot", 7)
    second = SlotStatus(1, "boot", 7, 3, True, (VersionStatus("fraud", 2, "d" * 64, "LOADING"),))
    for status in (first, second):
        write_status(layout, status)
        assert read_status(layout, 1) == status


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"slot": "one"}'])
def test_an_unreadable_status_is_none(layout: StateLayout, content: bytes) -> None:
    """A missing or damaged status is no error for whoever reads it."""
    assert read_status(layout, 1) is None
    layout.slot(1).mkdir(parents=True)
    (layout.slot(1) / "status.json").write_bytes(content)
    assert read_status(layout, 1) is None


def test_living_slots_are_listed_by_number(layout: StateLayout) -> None:
    """Slots come in numeric order, and files that are no slots are passed over."""
    assert slot_numbers(layout) == []
    assert live_slots(layout, 0, 4) == []
    for number in (10, 2, 0):
        occupy(layout, number)
    (layout.slots / "notes").mkdir()
    assert slot_numbers(layout) == [0, 2, 10]
    assert [live.status.slot for live in live_slots(layout, 11 * SECOND, 4)] == [0, 2, 10]


@pytest.mark.parametrize("fault", ["other boot", "dead", "stale", "from the future", "no beat", "no status"])
def test_a_slot_without_a_living_process_is_not_live(layout: StateLayout, fault: str) -> None:
    """Membership needs a status and a fresh beat of the same boot that is not dead."""
    occupy(layout, 0)
    beat = occupy(layout, 1)
    if fault == "other boot":
        write_status(layout, SlotStatus(1, "older", 1, accepting=True))
    elif fault == "dead":
        assert mark_dead(beat_path(layout, 1), "boot")
    elif fault == "stale":
        beat.pulse(5 * SECOND, 0, 0, 0)
    elif fault == "from the future":
        beat.pulse(99 * SECOND, 0, 0, 0)
    else:
        (layout.slot(1) / ("beat" if fault == "no beat" else "status.json")).unlink()
    assert [live.status.slot for live in live_slots(layout, 10 * SECOND, 4)] == [0]


def test_what_nobody_holds_is_buried(layout: StateLayout) -> None:
    """Beats of ended processes are marked dead at the next start; a held slot is left alone."""
    occupy(layout, 0)
    occupy(layout, 1)
    held = SlotLease.acquire(layout, 1)
    bury_dead_slots(layout)
    held.release()
    beats = [read_beat(beat_path(layout, number)) for number in (0, 1)]
    assert [beat.state for beat in beats if beat] == [BeatState.DEAD, BeatState.STARTING]
