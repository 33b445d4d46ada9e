"""The pulse of one slot: a small fixed-size memory map that its process writes and anybody may read.

Native byte order and aligned words, so that every number is stored whole; it never leaves the machine.
Whatever a process did last is still there after it was killed: which versions were running, since when.
"""

import enum
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

FORMAT = 1
LANES = 16
MAX_NAME_BYTES = 152
"""A mark, a model's name (at most 128 bytes), a slash and its version."""
SHADOW_MARK = b"~"
"""Stands before the version of a shadow; no name begins with it."""

_MAGIC = b"drftbeat"
_HEADER = struct.Struct("@8sII40sq")  # magic, format, pid, boot id, created
_STATE = struct.Struct("@Q")
_PULSE = struct.Struct("@qQQQ")  # heartbeat, generation, in flight, connections
_LANE = struct.Struct(f"@{MAX_NAME_BYTES}sq")  # the name before the time that makes it valid
_LANE_STARTED = struct.Struct("@q")
_STATE_AT = _HEADER.size
_PULSE_AT = _STATE_AT + _STATE.size
_LANES_AT = _PULSE_AT + _PULSE.size
SIZE_BYTES = _LANES_AT + LANES * _LANE.size


class BeatState(enum.IntEnum):
    """Where a process is in its life."""

    STARTING = 0
    ACCEPTING = 1
    DRAINING = 2
    DEAD = 3


_STATE_OF = {state.value: state for state in BeatState}


@dataclass(frozen=True)
class Run:
    """An inference that began and did not end: `version` such as "fraud/7", since when (CLOCK_MONOTONIC).

    `lane` is 0 for what runs on the event loop. Nobody waits for a `shadow`.
    """

    version: str
    started_ns: int
    shadow: bool = False
    lane: int = 0


@dataclass(frozen=True)
class BeatReading:
    """What a beat file said at one look. Times are CLOCK_MONOTONIC in nanoseconds."""

    boot: str
    pid: int
    state: BeatState
    heartbeat_ns: int
    generation: int
    in_flight: int
    connections: int
    runs: tuple[Run, ...] = ()
    created_ns: int = 0

    @property
    def has_pulsed(self) -> bool:
        """Whether the loop has turned at all since the file was made."""
        return self.heartbeat_ns != self.created_ns

    def is_fresh(self, now_ns: int, stale_after_s: float) -> bool:
        """Tell whether the last pulse is at most so old; one from the future is from before a reboot."""
        return 0 <= now_ns - self.heartbeat_ns <= stale_after_s * 1e9


class Beat:
    """The writing side, for the one process that holds the slot's lease."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._lane_at = tuple(_LANES_AT + lane * _LANE.size for lane in range(LANES))
        self._started_at = tuple(at + MAX_NAME_BYTES for at in self._lane_at)
        self._state = BeatState.STARTING

    @classmethod
    def create(cls, path: Path, boot: str, pid: int, now_ns: int) -> "Beat":
        """Replace the file at `path` by a new one in state STARTING whose first pulse is `now_ns`."""
        blank = bytearray(SIZE_BYTES)
        _HEADER.pack_into(blank, 0, _MAGIC, FORMAT, pid, _short(boot, 40), now_ns)
        _PULSE.pack_into(blank, _PULSE_AT, now_ns, 0, 0, 0)
        unfinished = path.with_name(f".{path.name}-{boot}")
        with open(unfinished, "w+b") as file:
            # Written in full rather than extended: a store into a page that a full disk cannot back is fatal.
            file.write(blank)
            file.flush()
            memory = mmap.mmap(file.fileno(), SIZE_BYTES)
        os.rename(unfinished, path)
        return cls(memory)

    @property
    def state(self) -> BeatState:
        """Where this process is in its life; assigning writes it to the file."""
        return self._state

    @state.setter
    def state(self, state: BeatState) -> None:
        self._state = state
        _STATE.pack_into(self._memory, _STATE_AT, state)

    def pulse(self, now_ns: int, generation: int, in_flight: int, connections: int) -> None:
        """Say that the loop turns."""
        _PULSE.pack_into(self._memory, _PULSE_AT, now_ns, generation, in_flight, connections)

    def start_run(self, lane: int, name: bytes, now_ns: int) -> None:
        """Say that version `name` begins to run in `lane`; call it before the inference."""
        _LANE.pack_into(self._memory, self._lane_at[lane], name, now_ns)

    def end_run(self, lane: int) -> None:
        """Say that `lane` is free again."""
        _LANE_STARTED.pack_into(self._memory, self._started_at[lane], 0)


def read_beat(path: Path) -> BeatReading | None:
    """Return what the file says, or None if it is missing, incomplete or of another format."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) != SIZE_BYTES:
        return None
    magic, format_number, pid, boot, created_ns = _HEADER.unpack_from(data)
    (state,) = _STATE.unpack_from(data, _STATE_AT)
    if magic != _MAGIC or format_number != FORMAT or state not in _STATE_OF:
        return None
    heartbeat_ns, generation, in_flight, connections = _PULSE.unpack_from(data, _PULSE_AT)
    return BeatReading(
        boot=_text(boot),
        pid=pid,
        state=_STATE_OF[state],
        heartbeat_ns=heartbeat_ns,
        generation=generation,
        in_flight=in_flight,
        connections=connections,
        runs=tuple(
            Run(_text(name.removeprefix(SHADOW_MARK)), started_ns, name.startswith(SHADOW_MARK), lane)
            for lane, (name, started_ns) in enumerate(_LANE.iter_unpack(data[_LANES_AT:]))
            if started_ns
        ),
        created_ns=created_ns,
    )


def mark_dead(path: Path, boot: str) -> bool:
    """Set the state to DEAD if the file still belongs to `boot`; only after that process is gone."""
    try:
        with open(path, "r+b") as file:
            header = file.read(_HEADER.size)
            if len(header) != _HEADER.size or _text(_HEADER.unpack(header)[3]) != boot:
                return False
            file.seek(_STATE_AT)
            file.write(_STATE.pack(BeatState.DEAD))
    except OSError:
        return False
    return True


def _short(text: str, limit: int) -> bytes:
    data = text.encode()
    if len(data) > limit:
        raise ValueError(f"{text!r} is longer than {limit} bytes")
    return data


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")
