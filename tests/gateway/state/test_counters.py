"""Counters: exact, kept over restarts, added over slots, and never more than there is room for."""

from pathlib import Path

from driftgate.gateway.state.counters import (
    BATCH_LIMITS,
    LATENCY_LIMITS_S,
    LAYOUT,
    ROWS,
    SUCCESS,
    CounterFile,
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
    for version in range(LAYOUT.max_blocks + 5):
        file.of("m", str(version)).answered(200, 0, 0, 1)
    read = read_counters(tmp_path / "c")
    assert len(read) <= LAYOUT.max_blocks
    assert sum(item.cells[SUCCESS] for item in read) == LAYOUT.max_blocks + 5
