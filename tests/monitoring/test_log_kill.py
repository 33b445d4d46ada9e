"""A writer that is killed loses what it must and not a record more."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from driftgate.monitoring.book.fold import RecordCounts
from driftgate.monitoring.log.reader import BootKey, Position
from driftgate.monitoring.log.segments import write_end_marker

from harness.gateway import until
from harness.records import blocks_of, numbers_in, problems_of, reader

WRITER = """
import os, sys, time
from pathlib import Path
from driftgate.monitoring.log.counts import LogCounts
from driftgate.monitoring.log.policy import LogPolicy
from driftgate.monitoring.log.writer import LogWriter
from harness.records import SECRET, turn, version
directory, boot, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
directory.mkdir(parents=True, exist_ok=True)
counts = LogCounts(directory.parent / "log.counts")
policy = LogPolicy(key=SECRET, mode=mode, segment_bytes=20_000)
log = LogWriter.open(directory, boot, policy, counts)
of = version()
waits = mode != "async"
for number in range(int(sys.argv[4]), 2**31):
    one = turn(of, [number])
    said = b"%d %d\\n" % (number, time.time_ns() // 1000)
    log.append(one, (lambda ok, said=said: os.write(1, said)) if waits else None)
    if not waits:
        os.write(1, said)
    time.sleep(0.0002)
"""


def killed(directory: Path, boot: str, mode: str, first: int, after_s: float) -> tuple[list[int], int]:
    """Run a writer, kill it, and return the numbers that it acknowledged and when it died (Unix µs).

    In async mode, numbers appended in the last 100 ms are not counted as acknowledged.
    """
    said = directory.parent.parent.parent / f"said-{boot}"
    with open(said, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory), boot, mode, str(first)],
            stdout=out,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        until(lambda: said.stat().st_size > 0 or process.poll() is not None, 20, "the writer writes")
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        died_us = time.time_ns() // 1000
        assert process.wait(5) == -signal.SIGKILL
    lines = [line.split() for line in said.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    safe_us = died_us - (100_000 if mode == "async" else 0)
    return [int(number) for number, at_us in lines if int(at_us) <= safe_us], died_us


@pytest.mark.parametrize("mode", ["written", "fsync", "async"])
def test_a_kill_loses_no_acknowledged_record(tmp_path: Path, mode: str) -> None:
    """kill -9 at random moments: modes that promise lose nothing they acknowledged, async at most 100 ms."""
    rng = random.Random(8)
    directory = tmp_path / "slots" / "0" / "log"
    acknowledged: list[int] = []
    for life in range(4):
        boot = f"{life:032x}"
        numbers, _ = killed(directory, boot, mode, life * 1_000_000, rng.uniform(0.15, 0.3))
        acknowledged += numbers
        write_end_marker(directory, boot)
    reading = reader(tmp_path)
    found = list(reading.read())
    read = numbers_in(found)
    assert set(acknowledged) <= set(read)
    assert len(acknowledged) > 100
    assert len(read) == len(set(read))
    assert not [problem for problem in problems_of(found) if problem.lost_frames]
    assert all(position.ended for position in reading.positions.values())


def test_killed_logs_fold_the_same_however_they_are_read(tmp_path: Path) -> None:
    """What survived gives the same counts to one reader and to many that were stopped in between."""
    directory = tmp_path / "slots" / "0" / "log"
    for life in range(2):
        killed(directory, f"{life:032x}", "async", life * 1_000_000, 0.2)
        write_end_marker(directory, f"{life:032x}")
    whole = RecordCounts()
    whole.update(read.block for read in blocks_of(reader(tmp_path).read()))
    parts = RecordCounts()
    positions: dict[BootKey, Position] = {}
    for _ in range(500):
        part = reader(tmp_path, positions)
        parts.update(read.block for read in blocks_of(part.read(3000)))
        positions = dict(part.positions)
    assert parts.get() == whole.get()
    assert sum(whole.get().values()) > 100
