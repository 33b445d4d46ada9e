"""Slots: leases on a number, and what the process that holds one says of itself.

A slot's files have one writer, the process that holds its lock; the lock goes with the process, however
that ends.
"""

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.beat import BeatReading, BeatState, mark_dead, read_beat
from driftgate.gateway.state.status import FORMAT, SlotStatus
from driftgate.models.storage.durable import write_whole
from driftgate.monitoring.log.segments import end_other_boots

PRIVATE = 0o700


class SlotTaken(Exception):
    """Another process holds the slot; the text names it."""


@dataclass(frozen=True)
class LiveSlot:
    """A slot whose process is alive: its status and its beat are of the same boot."""

    status: SlotStatus
    beat: BeatReading


class SlotLease:
    """The right to write one slot's files, held until `release` or the end of the process."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, layout: StateLayout, number: int) -> "SlotLease":
        """Take the lease of slot `number`, making its directory; raise SlotTaken if somebody has it."""
        directory = layout.slot(number)
        directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        descriptor = take_lock(directory / "lease")
        if descriptor is None:
            holder = lock_holder(directory / "lease")
            raise SlotTaken(f"slot {number} is held by process {holder or 'unknown'}: give this one another")
        return cls(number, descriptor)

    def release(self) -> None:
        """Give the slot back."""
        os.close(self._descriptor)


def take_lock(path: Path) -> int | None:
    """Lock the file at `path`, write our pid into it and return its descriptor; None if it is locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def lock_holder(path: Path) -> int | None:
    """Return the pid that the holder of a lock wrote into it, or None."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def beat_path(layout: StateLayout, number: int) -> Path:
    """Where slot `number` keeps its beat."""
    return layout.slot(number) / "beat"


def write_status(layout: StateLayout, status: SlotStatus) -> None:
    """Replace the status of `status.slot` in one step."""
    document = {"format": FORMAT, **msgspec.to_builtins(status)}
    write_whole(_status_path(layout, status.slot), msgspec.json.encode(document))


def read_status(layout: StateLayout, number: int) -> SlotStatus | None:
    """Return what slot `number` last said of itself, or None if that is nothing that this Driftgate reads."""
    try:
        status = msgspec.json.decode(_status_path(layout, number).read_bytes(), type=SlotStatus)
    except (OSError, msgspec.MsgspecError):
        return None
    return status if status.format == FORMAT else None


def slot_numbers(layout: StateLayout) -> list[int]:
    """Return the numbers of all slots that ever were, in rising order."""
    try:
        names = os.listdir(layout.slots)
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def live_slots(layout: StateLayout, now_ns: int, stale_after_s: float) -> list[LiveSlot]:
    """Return the slots whose process is alive, by number: same boot in both files, not dead, fresh pulse."""
    found = []
    for number in slot_numbers(layout):
        beat = read_beat(beat_path(layout, number))
        if beat is None or beat.state is BeatState.DEAD or not beat.is_fresh(now_ns, stale_after_s):
            continue
        status = read_status(layout, number)
        if status is not None and status.boot == beat.boot:
            found.append(LiveSlot(status, beat))
    return found


def bury_dead_slots(layout: StateLayout) -> None:
    """Mark beats and logs of slots that nobody holds as ended, however their processes did."""
    for number in slot_numbers(layout):
        descriptor = take_lock(layout.slot(number) / "lease")
        if descriptor is None:
            continue
        beat = read_beat(beat_path(layout, number))
        if beat is not None:
            mark_dead(beat_path(layout, number), beat.boot)
        with contextlib.suppress(OSError):  # a full disk; whoever takes the slot tries again
            end_other_boots(layout.log(number), "")
        os.close(descriptor)


def _status_path(layout: StateLayout, number: int) -> Path:
    return layout.slot(number) / "status.json"
