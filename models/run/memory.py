"""The memory budget: every worker holds every version, so a version costs its size times the workers."""

from collections.abc import Iterable
from pathlib import Path

DEFAULT_SHARE = 0.7
"""Of the machine's memory: the rest is for the processes themselves, requests in flight and page cache."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MEMINFO = Path("/proc/meminfo")


def needed_bytes(sizes_bytes: Iterable[int], workers: int) -> int:
    """Return what `workers` workers need to hold versions of these sizes (measured, or of their files)."""
    return workers * sum(sizes_bytes)


def bytes_in_worker(measured_bytes: int, file_bytes: int) -> int:
    """Return what a version takes in one worker: what was measured, and at least what its files hold."""
    return max(measured_bytes, file_bytes)


def memory_problem(held_bytes: Iterable[int], new_bytes: int, workers: int, budget_bytes: int) -> str | None:
    """Return None if a version fits beside those held, else a text with the figures."""
    held = needed_bytes(held_bytes, workers)
    new = needed_bytes([new_bytes], workers)
    if held + new <= budget_bytes:
        return None
    return (
        f"not enough memory: {workers} workers need {_mib(new)} for it beside the {_mib(held)} already held, "
        f"and the budget is {_mib(budget_bytes)}. Hold fewer versions, run fewer workers, or raise "
        "limits.memory_bytes."
    )


def default_budget_bytes() -> int:
    """Return the budget where none is set: a share of this machine's or container's memory."""
    return int(total_memory_bytes() * DEFAULT_SHARE)


def total_memory_bytes(limits: Iterable[Path] = _CGROUP_LIMITS, meminfo: Path = _MEMINFO) -> int:
    """Return the memory of this machine, or less where a cgroup limits this process to less."""
    line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemTotal:"))
    machine = int(line.split()[1]) * 1024
    return min([machine, *(limit for limit in map(_limit_bytes, limits) if limit)])


def _limit_bytes(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"
