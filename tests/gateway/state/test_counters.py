"""Counters: exact, kept over restarts, added over slots, and safe to read when damaged."""

from pathlib import Path

import pytest

from driftgate.gateway.state.counters import (
    BATCH_LIMITS,
    FILE_BYTES,
    HEADER_BYTES,
    LATENCY_LIMITS_S,
    MAX_BLOCKS,
    ROWS,
    SUCCESS,
    CounterFile,
    UnreadableCounters,
    add_counters,
    read_counters,
)


def test_counts_are_exact(tmp_path: Path) -> None:
    """What was counted is what is read, by code, latency bucket and batch bucket."""
    counters = CounterFile(tmp_path / "c").of("fraud", "7")
    counters.answered(200, 1, 2, 250_000)
    counters.answered(400, 0, 0, 40_000_000_000)
    counters.executed(5, 100, 10, 1_700_000_000_000)
    (read,) = read_counters(tmp_path / "c")
    assert (read.model, read.version) == ("fraud", "7")
    assert read.code_counts() == {200: 1, 400: 1}
    assert read.latency_counts[LATENCY_LIMITS_S.index(0.0003)] == 1
    assert read.latency_counts[-1] == 1
    assert read.batch_counts[BATCH_LIMITS.index(8)] == 1
    assert read.cells[ROWS] == 5


def test_counters_go_on_after_a_restart(tmp_path: Path) -> None:
    """A new process of the same slot adds to what the last one counted."""
    for _ in range(3):
        CounterFile(tmp_path / "c").of("fraud", "7").answered(200, 0, 0, 1)
    assert read_counters(tmp_path / "c")[0].cells[SUCCESS] == 3


def test_slots_are_added(tmp_path: Path) -> None:
    """The sum over slots has every version once."""
    for slot, versions in enumerate((("1", "2"), ("2",))):
        file = CounterFile(tmp_path / str(slot))
        for version in versions:
            file.of("m", version).answered(200, 0, 0, 1)
    total = add_counters(read_counters(tmp_path / str(slot)) for slot in range(2))
    assert [(item.version, item.cells[SUCCESS]) for item in total] == [("1", 1), ("2", 2)]


def test_versions_beyond_the_file_share_one_block(tmp_path: Path) -> None:
    """The file is bounded: after many versions the next ones are counted together, never lost."""
    file = CounterFile(tmp_path / "c")
    for version in range(MAX_BLOCKS + 5):
        file.of("m", str(version)).answered(200, 0, 0, 1)
    read = read_counters(tmp_path / "c")
    assert len(read) <= MAX_BLOCKS
    assert sum(item.cells[SUCCESS] for item in read) == MAX_BLOCKS + 5


@pytest.mark.parametrize("damage", [b"", b"garbage", b"DGCOUNT1" + b"\xff" * 100])
def test_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    """A file that is not a whole counter file raises, and does not invent numbers."""
    (tmp_path / "c").write_bytes(damage)
    with pytest.raises(UnreadableCounters):
        read_counters(tmp_path / "c")


def test_missing_file_counts_nothing(tmp_path: Path) -> None:
    """A slot that never counted has no counts."""
    assert read_counters(tmp_path / "c") == []


def a_counter_file_with_a_damaged_name(path: Path) -> bytes:
    """The bytes of a counter file whose one block has a name that is none."""
    CounterFile(path).of("m", "1").answered(200, 0, 0, 1)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES : HEADER_BYTES + 2] = b"\xff\xff"
    return bytes(data)


@pytest.mark.parametrize("whole", [False, True])
def test_damaged_file_starts_afresh(tmp_path: Path, whole: bool) -> None:
    """A worker whose counter file is damaged begins a new one and serves."""
    damaged = a_counter_file_with_a_damaged_name(tmp_path / "other") if whole else b"x" * 10
    (tmp_path / "c").write_bytes(damaged)
    CounterFile(tmp_path / "c").of("m", "1").answered(200, 0, 0, 1)
    assert read_counters(tmp_path / "c")[0].cells[SUCCESS] == 1


def test_every_counter_has_its_place_on_the_disk(tmp_path: Path) -> None:
    """The whole file is allocated at the start: counting never needs space that a full disk has not."""
    CounterFile(tmp_path / "c")
    assert (tmp_path / "c").stat().st_blocks * 512 >= FILE_BYTES
