"""Prediction logs for tests: turns of a small model, writers without threads, and what can be read back."""

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.monitoring.archive.record_filter import UUID_VERSION
from driftgate.monitoring.log.counts import LogCounts
from driftgate.monitoring.log.policy import LogPolicy, ModelLogPolicy
from driftgate.monitoring.log.reader import BootKey, Found, LogReader, Position, Problem, ReadBlock
from driftgate.monitoring.log.record import (
    Array,
    OnDurable,
    RecordedVersion,
    RequestRecord,
    TensorColumns,
    TurnRecord,
)
from driftgate.monitoring.log.records import record_columns
from driftgate.monitoring.log.segments import SegmentFile
from driftgate.monitoring.log.store import OpenSegment, SegmentStore
from driftgate.monitoring.log.writer import LogWriter

SECRET = b"k" * 32
ARRIVED_US = 1_790_000_000_000_000
PEOPLE = (TensorColumns("people", ("age", "income")), TensorColumns("city", ("city",)))
SCORES = (TensorColumns("label", role="prediction"), TensorColumns("p", ("no", "yes"), "probabilities"))


def prediction_id(number: int, at_us: int = ARRIVED_US) -> str:
    """Return an id of version 7 that holds a number."""
    return str(uuid.UUID(int=(at_us // 1000 << 80) | UUID_VERSION << 76 | 0x8 << 60 | number))


def version(name: str = "fraud", number: int = 3, **policy: Any) -> RecordedVersion:
    """Return a model with two numbers and a text as inputs, a label and two probabilities as outputs."""
    return RecordedVersion(name, number, PEOPLE, SCORES, ModelLogPolicy(**policy))


def turn(
    of: RecordedVersion, numbers: Iterable[int], rows: int = 1, generation: int = 1, **fields: Any
) -> TurnRecord:
    """Return a call with one request of `rows` rows for each number; age is the number, city its text."""
    numbers = list(numbers)
    known: dict[str, Any] = {"arm": "stable", "code": 200} | fields
    requests = [RequestRecord(prediction_id(number), rows, ARRIVED_US, **known) for number in numbers]
    ages = np.repeat(np.array(numbers, np.float32), rows)
    cities = np.array([f"city {number}" for number in numbers for _ in range(rows)], object)
    inputs = {"people": np.stack([ages, ages * 1000], axis=1), "city": cities}
    outputs: dict[str, Array] = {
        "label": ages.astype(np.int64) % 2,
        "p": np.stack([1 - ages % 2, ages % 2], axis=1),
    }
    return TurnRecord(of, generation, requests, inputs, outputs)


def failure(of: RecordedVersion, number: int, code: int = 400) -> TurnRecord:
    """Return a request that was refused before it was computed."""
    return TurnRecord(of, 1, [RequestRecord(prediction_id(number), 0, ARRIVED_US, code=code)])


class SlotLog:
    """One boot of one slot: a writer whose `step` is called by hand."""

    def __init__(
        self, root: Path, slot: int = 0, open_segment: OpenSegment = SegmentFile, **policy: Any
    ) -> None:
        self.slot = slot
        self.directory = root / "slots" / str(slot) / "log"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.boot = uuid.uuid4().hex
        self.policy = LogPolicy(key=SECRET, **({"mark_every_s": 0.0} | policy))
        self.counts = LogCounts(self.directory.parent / "log.counts")
        self.problems: list[str] = []
        store = SegmentStore(self.directory, self.boot, self.policy, open_segment)
        self.writer = LogWriter(store, self.boot, self.policy, self.counts, self.problems.append)
        self.writer.step()

    def write(self, *turns: TurnRecord) -> None:
        """Append turns and write them."""
        for one in turns:
            self.writer.append(one)
        self.writer.step()

    @property
    def segments(self) -> list[Path]:
        """Its files, in order."""
        return sorted(self.directory.glob(f"{self.boot}-*"))


def reader(root: Path, positions: Mapping[BootKey, Position] | None = None) -> LogReader:
    """Return a reader of all slots below a state directory."""

    def directories() -> dict[int, Path]:
        slots = root / "slots"
        names = os.listdir(slots) if slots.exists() else []
        return {int(name): slots / name / "log" for name in names}

    return LogReader(directories, positions)


def blocks_of(found: Iterable[Found]) -> list[ReadBlock]:
    """Return the blocks among what was read."""
    return [item for item in found if isinstance(item, ReadBlock)]


def problems_of(found: Iterable[Found]) -> list[Problem]:
    """Return what was missing or damaged."""
    return [item for item in found if isinstance(item, Problem)]


def numbers_in(found: Iterable[Found]) -> list[int]:
    """Return the numbers in the prediction ids of all records read, in the order of reading."""
    numbers = []
    for read in blocks_of(found):
        ids = next(iter(record_columns([read]))).values
        numbers += [int.from_bytes(bytes(row)[9:], "big") for row in np.asarray(ids)]
    return numbers


class MemorySink:
    """Keeps turns in a list; refuses them while `refusing` is set."""

    def __init__(self) -> None:
        self.turns: list[TurnRecord] = []
        self.refusing = False

    def append(self, turn: TurnRecord, on_durable: OnDurable | None = None) -> bool:
        """Keep the turn; it is durable at once."""
        if self.refusing:
            return False
        self.turns.append(turn)
        if on_durable is not None:
            on_durable(True)
        return True

    def flush(self) -> None:
        """Do nothing: what was taken is kept already."""
