"""As many workers as there are cores to keep busy."""

import os
from collections.abc import Mapping

import pytest

from driftgate.gateway.processes.cores import available_cores, count_cores

PAIRS = {0: "0,4", 1: "1,5", 2: "2,6", 3: "3,7", 4: "0,4", 5: "1,5", 6: "2,6", 7: "3,7"}
NEIGHBOURS = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}


@pytest.mark.parametrize(
    ("cpus", "siblings", "quota", "cores"),
    [
        (range(8), PAIRS, "", 4),
        (range(8), PAIRS, "max 100000", 4),
        (range(4), PAIRS, "", 4),
        ({0, 4}, PAIRS, "", 1),
        ({0, 1, 4}, PAIRS, "", 2),
        (range(4), NEIGHBOURS, "", 2),
        (range(8), {}, "", 8),
        (range(2), {0: "", 1: ""}, "", 2),
        (range(8), PAIRS, "200000 100000", 2),
        (range(8), PAIRS, "150000 100000", 2),
        (range(8), PAIRS, "10000 100000", 1),
        (range(8), PAIRS, "900000 100000", 4),
        (range(8), PAIRS, "0 100000", 4),
        (range(8), PAIRS, "100000 0", 4),
        (range(8), PAIRS, "nonsense", 4),
    ],
)
def test_cores_are_physical_ones_within_mask_and_quota(
    cpus: range, siblings: Mapping[int, str], quota: str, cores: int
) -> None:
    """Siblings count once, unknown ones each; a quota is rounded up; what cannot be read limits nothing."""
    assert count_cores(cpus, siblings, quota) == cores


def test_this_machine_keeps_a_worker_busy() -> None:
    """There is at least one core, and never more than the mask allows."""
    assert 1 <= available_cores() <= len(os.sched_getaffinity(0))
