"""How many workers this process's part of the machine can keep busy."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def available_cores() -> int:
    """Return the least of physical cores, affinity mask and cgroup quota (rounded up); at least 1."""
    cpus = os.sched_getaffinity(0)
    found = {cpu: _read(Path(_SIBLINGS.format(cpu))) for cpu in cpus}
    return count_cores(cpus, found, _read(_QUOTA))


def count_cores(cpus: Collection[int], siblings: Mapping[int, str], quota: str) -> int:
    """Return how many cores these logical ones stand for, within the quota. Pure.

    Two logical cores that share a physical one give little more than one: `siblings` are the kernel's lists
    of who shares, empty where it does not say, and then each counts. `quota` is the content of `cpu.max`.
    """
    cores = len({siblings.get(cpu) or str(cpu) for cpu in cpus})
    return max(1, min(cores, _whole_cores(quota) or cores))


def _whole_cores(quota: str) -> int:
    """The quota in cores, rounded up; 0 if there is none."""
    allowed, _, period = quota.partition(" ")
    if not (allowed.isdecimal() and period.isdecimal() and int(period)):
        return 0
    return -(-int(allowed) // int(period))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
