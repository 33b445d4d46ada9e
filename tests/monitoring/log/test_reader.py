"""The reader sees every record once, says what is missing, and never runs ahead of a slot."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftgate.monitoring.log import reader as log_reader
from driftgate.monitoring.log.frames import FORMAT, MARK_FRAME_BYTES, NewerFormat
from driftgate.monitoring.log.reader import BootKey, Found, Position
from driftgate.monitoring.log.segments import has_ended, list_segments, segment_name, write_end_marker

from harness.records import SlotLog, blocks_of, numbers_in, problems_of, reader, turn, version


def filled(root: Path, slot: int = 0, records: int = 30, segment_bytes: int = 2500) -> SlotLog:
    """A log with one record per block, in several segments, each number shifted by the slot."""
    log = SlotLog(root, slot, segment_bytes=segment_bytes)
    for number in range(records):
        log.write(turn(version(), [slot * 1000 + number]))
    return log


@pytest.mark.parametrize("seed", range(5))
def test_resuming_anywhere_equals_one_pass(tmp_path: Path, seed: int) -> None:
    """Readers that stop and start again at any point read together what one reader reads."""
    log = filled(tmp_path)
    rng = random.Random(seed)
    positions: dict[BootKey, Position] = {}
    parts: list[Found] = []
    for _ in range(200):
        part = reader(tmp_path, positions)
        parts += list(part.read(rng.choice([1, 300, 2000])))
        positions = dict(part.positions)
    assert numbers_in(parts) == list(range(30))
    assert not problems_of(parts)
    assert positions == reader_after_all(tmp_path)
    log.writer.close()


def reader_after_all(root: Path) -> object:
    whole = reader(root)
    assert numbers_in(whole.read()) == list(range(30))
    return whole.positions


def test_a_record_in_the_making_is_waited_for(tmp_path: Path) -> None:
    """Bytes arriving one by one give each record once, and no damage."""
    log = filled(tmp_path, records=3, segment_bytes=2**20)
    whole = log.segments[0].read_bytes()
    growing = reader(tmp_path)
    found = []
    log.segments[0].write_bytes(b"")
    with open(log.segments[0], "ab", buffering=0) as file:
        for start in range(0, len(whole), 97):
            file.write(whole[start : start + 97])
            found += list(growing.read())
    assert numbers_in(found) == [0, 1, 2]
    assert not problems_of(found)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, 60_000), size=st.integers(1, 400), kind=st.sampled_from(["zero", "cut", "noise"]))
def test_damage_costs_only_what_it_hits(
    tmp_path_factory: pytest.TempPathFactory, at: int, size: int, kind: str
) -> None:
    """Zeros, holes and noise anywhere cost the frames they touch, and are reported with what is missing."""
    root = tmp_path_factory.mktemp("damaged")
    log = filled(root, records=20)
    log.writer.close()
    path = log.segments[at % (len(log.segments) - 1)]
    data = path.read_bytes()
    at = at % len(data)
    middle = {"zero": bytes(size), "cut": b"", "noise": os.urandom(size)}[kind]
    path.write_bytes(data[:at] + middle + data[at + size :])
    found = list(reader(root).read())
    numbers = numbers_in(found)
    assert numbers == sorted(set(numbers))
    frame = len(data) // max(1, data.count(b"\xffDG\xfe"))
    assert len(numbers) >= 20 - 2 - size // frame
    if len(numbers) < 20:
        assert problems_of(found)


def test_missing_segments_are_told_by_their_sequence(tmp_path: Path) -> None:
    """A segment that is gone leaves a gap of so many frames; what follows is read."""
    log = filled(tmp_path)
    log.segments[1].unlink()
    found = list(reader(tmp_path).read())
    lost = sum(problem.lost_frames for problem in problems_of(found))
    # every record is a block and a watermark
    assert lost == 2 * (30 - len(numbers_in(found)))
    assert numbers_in(found)[-1] == 29


def test_frames_that_come_twice_are_read_once(tmp_path: Path) -> None:
    """A segment that repeats frames which were read before adds nothing."""
    log = filled(tmp_path, records=5, segment_bytes=2**20)
    copy = log.directory / segment_name(log.boot, 1)
    copy.write_bytes(log.segments[0].read_bytes())
    assert numbers_in(reader(tmp_path).read()) == [0, 1, 2, 3, 4]


def test_segments_renamed_or_deleted_while_read_are_no_error(tmp_path: Path) -> None:
    """Archived segments are read under their new name; deleted ones are skipped."""
    log = filled(tmp_path)
    reading = reader(tmp_path)
    segments = list_segments(log.directory)
    segments[0].path.rename(log.directory / segment_name(log.boot, 0, archived=True))
    segments[2].path.unlink()
    found = list(reading.read())
    assert numbers_in(found)[0] == 0
    assert numbers_in(found)[-1] == 29
    assert problems_of(found)


def test_a_frame_longer_than_a_chunk_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block may be larger than what is read at once."""
    monkeypatch.setattr(log_reader, "CHUNK_BYTES", 256)
    filled(tmp_path, records=4)
    assert numbers_in(reader(tmp_path).read()) == [0, 1, 2, 3]


def test_the_watermark_is_the_lowest_of_live_slots(tmp_path: Path) -> None:
    """No slot is run ahead of: a silent one holds the watermark, an ended one does not."""
    fast, slow = SlotLog(tmp_path, 0), SlotLog(tmp_path, 1)
    reading = reader(tmp_path)
    fast.write(turn(version(), [1]))
    list(reading.read())
    held = reading.watermark_us
    fast.write(turn(version(), [2]))
    list(reading.read())
    assert reading.watermark_us == held
    write_end_marker(slow.directory, slow.boot)
    list(reading.read())
    assert reading.watermark_us > held
    assert reading.watermark_us <= min(p.mark_us for p in reading.positions.values() if not p.ended)


def test_a_boot_that_has_said_nothing_holds_the_watermark(tmp_path: Path) -> None:
    """A new boot is waited for from the moment its file is there, before its first watermark is."""
    log = SlotLog(tmp_path)
    reading = reader(tmp_path)
    list(reading.read())
    held = reading.watermark_us
    empty = tmp_path / "slots" / "1" / "log"
    empty.mkdir(parents=True)
    (empty / segment_name("c" * 32, 0)).touch()
    log.write(turn(version(), [1]))
    list(reading.read())
    assert reading.watermark_us == held


def test_no_record_is_older_than_the_watermark_before_it(tmp_path: Path) -> None:
    """Whatever is read after a watermark was passed has a later time, over restarts and slots."""
    logs = [SlotLog(tmp_path, slot) for slot in range(3)]
    reading = reader(tmp_path)
    for number in range(30):
        logs[number % 3].write(turn(version(), [number]))
        if number % 7 == 0:
            slot = number % 3
            write_end_marker(logs[slot].directory, logs[slot].boot)
            logs[slot] = SlotLog(tmp_path, slot)
        before = reading.watermark_us
        assert all(read.block.header.first_us >= before for read in blocks_of(reading.read()))
        assert reading.watermark_us >= before


def test_an_end_is_written_once(tmp_path: Path) -> None:
    """The end of a dead boot is a segment of its own, also after a torn frame, and there is but one."""
    log = filled(tmp_path, records=3, segment_bytes=2**20)
    with open(log.segments[0], "r+b") as file:
        file.truncate(log.segments[0].stat().st_size - 5)
    assert write_end_marker(log.directory, log.boot)
    assert not write_end_marker(log.directory, log.boot)
    assert not write_end_marker(log.directory, "d" * 32)
    assert has_ended(log.directory, log.boot, 1)
    assert log.segments[-1].stat().st_size == MARK_FRAME_BYTES
    found = list(reader(tmp_path).read())
    assert numbers_in(found) == [0, 1, 2]
    assert len(problems_of(found)) == 1


def test_the_next_boot_of_a_slot_ends_the_one_before(tmp_path: Path) -> None:
    """Whoever holds the slot knows that the boot before is gone, and says so if nobody else did."""
    filled(tmp_path, records=2)
    after = SlotLog(tmp_path)
    after.write(turn(version(), [7]))
    reading = reader(tmp_path)
    assert sorted(numbers_in(reading.read())) == [0, 1, 7]
    assert sorted(p.ended for p in reading.positions.values()) == [False, True]


def test_a_log_of_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader says that it is too old rather than guess."""
    monkeypatch.setattr("driftgate.monitoring.log.frames.FORMAT", FORMAT + 1)
    filled(tmp_path, records=1)
    monkeypatch.setattr("driftgate.monitoring.log.frames.FORMAT", FORMAT)
    with pytest.raises(NewerFormat, match="Upgrade Driftgate"):
        list(reader(tmp_path).read())
