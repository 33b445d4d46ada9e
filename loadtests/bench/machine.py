"""The machine: its cores, the CPU time and memory of a tree of processes."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UTIME, _CSTIME = 11, 15  # fields of /proc/<pid>/stat after the name in brackets


@dataclass(frozen=True)
class Cores:
    """Which core the server has and which one the load."""

    server: frozenset[int]
    load: frozenset[int]


def split_cores() -> Cores:
    """Return the first core for the server and the last for the load; they are the same if there is one."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(cores[:1]), frozenset(cores[-1:]))


def describe() -> dict[str, str | int]:
    """Return what figures of this machine should be quoted with."""
    return {"cpu": _cpu_name(), "cores": len(os.sched_getaffinity(0)), "kernel": os.uname().release}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, of all that descend from it, and of those of them that have ended."""
    ticks = 0
    for process in tree(pid):
        fields = _stat(process)
        ticks += sum(map(int, fields[_UTIME : _CSTIME + 1]))
    return ticks / TICKS_PER_S


def move_threads(pid: int, cores: frozenset[int]) -> None:
    """Let all threads of a process run on these cores alone, and those that they start."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process and of all that descend from it."""
    pages = 0
    for process in tree(pid):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * PAGE_BYTES


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it and still run."""
    found, look = [], [pid]
    while look:
        process = look.pop()
        found.append(process)
        try:
            look += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
        except OSError:
            continue
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
