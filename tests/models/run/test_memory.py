"""The memory budget."""

from pathlib import Path

import pytest

from driftgate.models.run.memory import (
    bytes_in_worker,
    default_budget_bytes,
    memory_problem,
    needed_bytes,
    total_memory_bytes,
)

MIB = 2**20


def test_every_worker_holds_every_version() -> None:
    """What is needed is the sum of sizes times the workers."""
    assert needed_bytes([10, 20], workers=3) == 90


@pytest.mark.parametrize(("measured", "files", "expected"), [(10, 30, 30), (40, 30, 40)])
def test_size_in_a_worker(measured: int, files: int, expected: int) -> None:
    """A version counts what was measured, and at least its files."""
    assert bytes_in_worker(measured, files) == expected


@pytest.mark.parametrize(("new", "fits"), [(30 * MIB, True), (30 * MIB + 1, False)])
def test_budget_is_a_limit(new: int, fits: bool) -> None:
    """A version fits up to the last byte of the budget."""
    assert (memory_problem([10 * MIB, 10 * MIB], new, workers=2, budget_bytes=100 * MIB) is None) is fits


def test_refusal_tells_figures() -> None:
    """A refusal says what is needed, held and allowed, and what to do."""
    problem = memory_problem([10 * MIB], 2048 * MIB, workers=4, budget_bytes=100 * MIB)
    assert problem is not None
    assert "4 workers need 8,192 MiB" in problem
    assert "40 MiB already held" in problem
    assert "the budget is 100 MiB" in problem
    assert "limits.memory_bytes" in problem


@pytest.mark.parametrize(
    ("limit", "expected"), [("1048576\n", MIB), ("max\n", 4 * MIB), ("9223372036854771712\n", 4 * MIB)]
)
def test_container_limit_counts(tmp_path: Path, limit: str, expected: int) -> None:
    """The smaller of the machine's memory and the cgroup's limit counts; no limit is none."""
    (tmp_path / "meminfo").write_text("MemTotal:       4096 kB\nMemFree: 1 kB\n")
    (tmp_path / "memory.max").write_text(limit)
    found = total_memory_bytes([tmp_path / "memory.max", tmp_path / "missing"], tmp_path / "meminfo")
    assert found == expected


def test_this_machine() -> None:
    """The default budget is a part of the memory that this machine has."""
    assert 0 < default_budget_bytes() < total_memory_bytes()
