"""What the prediction log costs: a write per turn, a flush per interval, and reading it all again.

Run with `python -m loadtests.log_bench`. Prints one figure per line with the goal beside it, and ends with 1
if a goal is missed. A write is `append` and `step`, as on the event loop in mode `written`. The figure of the
reader includes counting, Parquet with zstd, and the book.
"""

import argparse
import sys
import tempfile
import time
import timeit
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.counts import LogCounts
from driftgate.monitoring.log.encoder import BlockEncoder
from driftgate.monitoring.log.policy import LogPolicy
from driftgate.monitoring.log.record import RecordedVersion, RequestRecord, TensorColumns, TurnRecord
from driftgate.monitoring.log.store import SegmentStore, now_us
from driftgate.monitoring.log.writer import LogWriter
from loadtests.figures import Figure, show_figures

COLUMNS = 30
READER_GOAL_PER_S = 100_000
BLOCK_GOAL_US = 12.0
"""For a block of one request; a small turn has one for each version."""
REPEATS = 30
VERSION = RecordedVersion(
    "tiny",
    1,
    (TensorColumns("x", tuple(f"feature_{number}" for number in range(COLUMNS))),),
    (TensorColumns("label", role="prediction"), TensorColumns("p", ("no", "yes"), "probabilities")),
    has_texts=False,
)


def turn(requests: int, rng: np.random.Generator) -> TurnRecord:
    """Return a call of the tiny model with so many requests of one row, as the gateway makes it."""
    at_us = now_us()
    records = [
        RequestRecord(
            str(uuid.uuid4()), 1, at_us, "", 0, "stable", 0.9, 7, "live", b"", b"", "", "", 9, 8, 7, 6, 200
        )
        for _ in range(requests)
    ]
    inputs = {"x": rng.normal(size=(requests, COLUMNS)).astype(np.float32)}
    p = rng.random((requests, 2), np.float32)
    return TurnRecord(VERSION, 1, records, inputs, {"label": p.argmax(axis=1), "p": p})


def measure_turns(directory: Path, requests: int) -> Iterator[Figure]:
    """Encode and write turns of so many requests, each by itself; the least of many short runs."""
    one = turn(requests, np.random.default_rng(7))
    encoder = BlockEncoder(b"k" * 32)
    writer = _writer(directory)

    def write() -> None:
        writer.append(one)
        writer.step()

    goal = BLOCK_GOAL_US if requests == 1 else None
    yield Figure(f"encoding a turn of {requests}", _least_us(lambda: encoder.encode([one])), "us", goal)
    yield Figure(f"writing a turn of {requests}", _least_us(write), "us")
    writer.close()


def _least_us(action: Callable[[], object], times: int = 200) -> float:
    return min(timeit.repeat(action, number=times, repeat=REPEATS)) / times * 1e6


def measure(directory: Path, rows: int, turn_rows: int, flush_rows: int) -> Iterator[Figure]:
    """Write and read so many rows, in turns and flushes of the given size."""
    rng = np.random.default_rng(7)
    writer = _writer(directory)
    turns = [turn(turn_rows, rng) for _ in range(flush_rows // turn_rows)]
    append_s, write_s, written = 0.0, 0.0, 0
    while written < rows:
        began = time.thread_time()
        for one in turns:
            writer.append(one)
        appended = time.thread_time()
        writer.step()
        write_s += time.thread_time() - appended
        append_s += appended - began
        written += len(turns) * turn_rows
    writer.close()
    size = f"turns of {turn_rows}, flushes of {flush_rows}"
    yield Figure(f"append, {size}", append_s / (written / turn_rows) * 1e9, "ns/turn")
    yield Figure(f"writer's CPU, {size}", write_s / written * 1e6, "us/row")
    goal = READER_GOAL_PER_S if flush_rows > turn_rows else None
    yield Figure(f"reader with Parquet, {size}", written / _read_s(directory), "rows/s", goal)


def _writer(directory: Path) -> LogWriter:
    boot = uuid.uuid4().hex
    log = directory / "slots" / "0" / "log"
    log.mkdir(parents=True)
    policy = LogPolicy(key=b"k" * 32, buffer_rows=10**9, buffer_bytes=2**40)
    counts = LogCounts(directory / "counts")
    return LogWriter(SegmentStore(log, boot, policy), boot, policy, counts)


def _read_s(directory: Path) -> float:
    """Return the CPU seconds that a monitor takes for the whole log, on all its threads."""
    db = MonitorDb(directory / "monitor.db")
    archiver = Archiver(directory / "archive", db, Ages(), print)
    logs = {0: directory / "slots" / "0" / "log"}
    follower = Follower(lambda: logs, db, archiver, FollowerSettings(), print)
    began = time.process_time()
    follower.finish(now_us(), 600.0)
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    rows = parser.parse_args().rows
    sys.exit(show_figures(_all(rows)))


def _all(rows: int) -> Iterator[Figure]:
    for requests in (1, 5, 16):
        with tempfile.TemporaryDirectory() as directory:
            yield from measure_turns(Path(directory), requests)
    for turn_rows, flush_rows in ((5, 5), (16, 16), (1, 50), (16, 320), (64, 2048)):
        with tempfile.TemporaryDirectory() as directory:
            yield from measure(Path(directory), rows, turn_rows, flush_rows)


if __name__ == "__main__":
    main()
