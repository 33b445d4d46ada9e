"""What the writer promises: written in time, counted exactly, and never in the way."""

import errno
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from driftgate.monitoring.log.counts import read_log_counts
from driftgate.monitoring.log.policy import LogPolicy, Mode
from driftgate.monitoring.log.record import RecordSink
from driftgate.monitoring.log.segments import SegmentFile, list_segments, segment_name
from driftgate.monitoring.log.writer import SLOW_S, LogWriter

from harness.gateway import until
from harness.records import SECRET, MemorySink, SlotLog, numbers_in, problems_of, reader, turn, version


class Disk:
    """A disk that can be told to take only so many more bytes, to fail at the end of a write, or to wait."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.sync_fails = False
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.answers.set()

    def open(self, directory: Path, boot: str, number: int) -> "FlakySegment":
        """Open a segment on this disk."""
        return FlakySegment(directory, boot, number, self)


class FlakySegment(SegmentFile):
    """A real segment on a disk with limits."""

    def __init__(self, directory: Path, boot: str, number: int, disk: Disk) -> None:
        super().__init__(directory, boot, number)
        self._disk = disk

    def write(self, data: bytes, durable: bool = False) -> None:
        """Append once the disk answers, or fail as a full disk does."""
        self._disk.asked.set()
        assert self._disk.answers.wait(10)
        if self._disk.room is not None and len(data) > self._disk.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        if durable and self._disk.sync_fails:
            raise OSError(errno.EIO, "Input/output error")
        super().write(data, durable)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a disk that is full, for real."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def is_written(log: SlotLog, rows: int) -> bool:
    return log.counts.read()["written_rows"] == rows


def refuses(log: SlotLog) -> bool:
    return log.writer.refusing


def numbers(root: Path) -> list[int]:
    return sorted(numbers_in(reader(root).read()))


@pytest.mark.parametrize("mode", ["async", "written", "fsync"])
def test_what_is_appended_is_written(tmp_path: Path, mode: Mode) -> None:
    """In every mode the thread writes by itself what was appended, and tells who waits for it."""
    log = SlotLog(tmp_path, mode=mode)
    log.writer.close()
    boot = "a" * 32
    writer = LogWriter.open(log.directory, boot, LogPolicy(key=SECRET, mode=mode), log.counts)
    told: list[bool] = []
    done = threading.Event()

    def on_durable(ok: bool) -> None:
        told.append(ok)
        done.set()

    of = version()
    assert writer.append(turn(of, [1]))
    assert writer.append(turn(of, [2]), on_durable)
    assert done.wait(30)
    assert told == [True]
    assert numbers(tmp_path) == [1, 2]
    writer.close()


def test_async_is_on_disk_within_100_ms(tmp_path: Path) -> None:
    """What nobody waits for is in the file within 100 ms all the same."""
    log = SlotLog(tmp_path)
    writer = LogWriter.open(log.directory, "b" * 32, LogPolicy(key=SECRET), log.counts)
    waits = []
    for number in range(5):
        began = time.monotonic()
        writer.append(turn(version(), [number]))
        until(partial(is_written, log, number + 1), 2, "the row is written")
        waits.append(time.monotonic() - began)
    writer.close()
    assert sorted(waits)[2] < 0.1
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_a_full_buffer_drops_and_counts_exactly(tmp_path: Path) -> None:
    """Rows beyond the buffer are dropped by default, to the row, and the answer goes out."""
    log = SlotLog(tmp_path, buffer_rows=10)
    told: list[bool] = []
    for number in range(7):
        assert log.writer.append(turn(version(), [number], rows=3), told.append)
    assert told == [True] * 4
    log.writer.step()
    assert told == [True] * 7
    counts = log.counts.read()
    assert (counts["written_rows"], counts["dropped_rows_buffer"], counts["refused_rows"]) == (9, 12, 0)
    assert numbers(tmp_path) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_turn_larger_than_the_buffer_is_taken_alone(tmp_path: Path) -> None:
    """One large request is recorded when nothing else waits, or it never could be."""
    log = SlotLog(tmp_path, buffer_rows=10)
    log.write(turn(version(), [1], rows=50))
    assert log.counts.read()["written_rows"] == 50


def test_audit_refuses_when_the_buffer_is_full(tmp_path: Path) -> None:
    """With `refuse` nothing is dropped: requests are refused until there is room again."""
    log = SlotLog(tmp_path, buffer_rows=2, when_full="refuse")
    assert log.writer.append(turn(version(), [1, 2]))
    assert refuses(log)
    assert not log.writer.append(turn(version(), [3]))
    log.writer.step()
    assert not refuses(log)
    assert log.writer.append(turn(version(), [4]))
    log.writer.step()
    counts = log.counts.read()
    assert (counts["refused_rows"], log.counts.dropped_rows) == (1, 0)
    assert numbers(tmp_path) == [1, 2, 4]


def test_a_full_disk_drops_and_counts_exactly(tmp_path: Path) -> None:
    """Disk full: records are lost and counted, answers go on; with room again, writing goes on."""
    disk = Disk()
    log = SlotLog(tmp_path, open_segment=disk.open, mode="written")
    told: list[bool] = []
    log.write(turn(version(), [1]))
    disk.room = 100
    log.writer.append(turn(version(), [2, 3]), told.append)
    log.writer.step()
    disk.room = None
    log.write(turn(version(), [4]))
    counts = log.counts.read()
    assert (counts["written_rows"], counts["dropped_rows_disk"], counts["failed_writes"]) == (2, 2, 1)
    assert told == [True]
    assert log.problems == ["the prediction log cannot be written: No space left on device"]
    found = list(reader(tmp_path).read())
    assert numbers_in(found) == [1, 4]
    assert not problems_of(found)


def test_the_loop_leaves_a_slow_disk_to_the_thread(tmp_path: Path) -> None:
    """While the thread writes, and for a while after a slow write, the event loop waits for no disk."""
    disk = Disk()
    log = SlotLog(tmp_path, open_segment=disk.open, mode="written")
    told: list[bool] = []
    log.writer.append(turn(version(), [1]), told.append)
    disk.answers.clear()
    disk.asked.clear()
    thread = threading.Thread(target=log.writer.step)
    thread.start()
    assert disk.asked.wait(10)
    log.writer.append(turn(version(), [2]), told.append)
    log.writer.flush()
    assert told == []
    time.sleep(SLOW_S)
    disk.answers.set()
    thread.join()
    log.writer.flush()
    assert told == [True]
    log.writer.step()
    assert told == [True, True]
    assert numbers(tmp_path) == [1, 2]


def test_audit_refuses_while_the_disk_is_full(tmp_path: Path) -> None:
    """With `refuse` whoever waits is told no, and requests are refused until a write has worked."""
    disk = Disk()
    log = SlotLog(tmp_path, open_segment=disk.open, mode="written", when_full="refuse")
    disk.room = 0
    told: list[bool] = []
    assert log.writer.append(turn(version(), [1]), told.append)
    log.writer.step()
    assert told == [False]
    assert refuses(log)
    assert not log.writer.append(turn(version(), [2]), told.append)
    disk.room = None
    log.writer.step()
    assert not refuses(log)
    log.write(turn(version(), [3]))
    assert numbers(tmp_path) == [3]


def test_a_failed_sync_is_no_promise(tmp_path: Path) -> None:
    """What the disk did not take is taken back from the file and counted as lost."""
    disk = Disk()
    log = SlotLog(tmp_path, open_segment=disk.open, mode="fsync", when_full="refuse")
    disk.sync_fails = True
    told: list[bool] = []
    log.writer.append(turn(version(), [1]), told.append)
    log.writer.step()
    assert told == [False]
    assert numbers(tmp_path) == []


def test_a_real_limit_on_files_loses_only_what_did_not_fit(tmp_path: Path) -> None:
    """A file that may not grow is cut back to its last whole write and left for another."""
    log = SlotLog(tmp_path)
    log.write(turn(version(), [1]))
    with largest_file(log.segments[0].stat().st_size + 500):
        log.write(turn(version(), range(100, 200)))
        log.write(turn(version(), [2]))
    log.write(turn(version(), [3]))
    counts = log.counts.read()
    found = list(reader(tmp_path).read())
    assert not problems_of(found)
    assert set(numbers_in(found)) >= {1, 3}
    assert len(numbers_in(found)) == counts["written_rows"]
    assert counts["written_rows"] + counts["dropped_rows_disk"] == 103


def test_segments_are_left_when_they_are_large_or_old(tmp_path: Path) -> None:
    """A segment that is large enough, or old enough, is followed by another; no record is split."""
    log = SlotLog(tmp_path, segment_bytes=1500)
    for number in range(10):
        log.write(turn(version(), [number]))
    assert len(log.segments) > 2
    assert all(path.stat().st_size <= 1500 for path in log.segments)
    aged = SlotLog(tmp_path, slot=1, segment_age_s=0.0)
    aged.write(turn(version(), [10]))
    aged.write(turn(version(), [11]))
    assert len(aged.segments) > 1
    assert numbers(tmp_path) == list(range(12))


def test_the_quota_takes_archived_segments_first(tmp_path: Path) -> None:
    """Over quota, archived segments go, the oldest first; what nobody has archived stays, the new is lost."""
    log = SlotLog(tmp_path, segment_bytes=2000, quota_bytes=8000)
    number = 0
    while not log.counts.read()["dropped_rows_quota"]:
        log.write(turn(version(), [number]))
        number += 1
    kept = numbers(tmp_path)
    assert kept == list(range(number - 1))
    oldest = list_segments(log.directory)[0]
    oldest.path.rename(log.directory / segment_name(log.boot, oldest.number, archived=True))
    log.write(turn(version(), [999]))  # looked at too recently to be looked at again
    assert log.writer._store.has_room(1500, time.monotonic() + 1)
    log.write(turn(version(), [1000]))
    assert numbers(tmp_path)[-1] == 1000
    assert log.counts.read()["dropped_rows_quota"] == 2
    assert not list(log.directory.glob("*.done"))


def test_a_record_that_cannot_be_encoded_goes_alone(tmp_path: Path) -> None:
    """One bad record is dropped and counted; the others of its flush are written."""
    log = SlotLog(tmp_path)
    bad = turn(version(), [2])
    bad.requests[0].prediction_id = "no id"
    log.write(turn(version(), [1]), bad, turn(version(), [3]))
    assert numbers(tmp_path) == [1, 3]
    assert log.counts.read()["dropped_rows_invalid"] == 1
    assert "cannot be encoded" in log.problems[0]


def test_audit_refuses_what_cannot_be_recorded(tmp_path: Path) -> None:
    """With `refuse` the request of a bad record is refused, and its neighbours are not."""
    log = SlotLog(tmp_path, mode="written", when_full="refuse")
    bad = turn(version(), [2])
    bad.requests[0].prediction_id = "no id"
    told: dict[int, bool] = {}
    for number, one in enumerate([turn(version(), [1]), bad, turn(version(), [3])]):
        log.writer.append(one, partial(told.__setitem__, number))
    log.writer.step()
    assert told == {0: True, 1: False, 2: True}


def test_times_never_go_back(tmp_path: Path) -> None:
    """Records are stamped when they are appended, each no earlier than the one before."""
    log = SlotLog(tmp_path)
    turns = [turn(version(), [number]) for number in range(5)]
    log.writer._last_us = 2**60
    for one in turns:
        log.writer.append(one)
    assert [one.recorded_us for one in turns] == [2**60] * 5


def test_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    """Counters of a slot never fall; anybody may read them, and damage reads as nothing."""
    for _ in range(2):
        log = SlotLog(tmp_path)
        log.write(turn(version(), [1, 2]))
        log.writer.close()
    path = log.directory.parent / "log.counts"
    assert read_log_counts(path)["written_rows"] == 4
    path.write_bytes(b"damaged")
    assert read_log_counts(path) == {}


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    """Nothing that was appended before `close` is lost, with or without a thread."""
    log = SlotLog(tmp_path)
    log.writer.append(turn(version(), [1]))
    log.writer.close()
    found = reader(tmp_path)
    assert numbers_in(found.read()) == [1]
    assert all(position.ended for position in found.positions.values())


def test_the_twin_keeps_the_same_contract() -> None:
    """The sink in memory records, tells and refuses as the real one does."""
    sink = MemorySink()
    real: RecordSink = sink
    told: list[bool] = []
    assert real.append(turn(version(), [1]), told.append)
    sink.refusing = True
    assert not real.append(turn(version(), [2]), told.append)
    assert (len(sink.turns), told) == (1, [True])
