"""Quotas: as many requests as the rate and the burst allow, however many processes count them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.access.quotas import NS, Quotas, rule
from driftgate.gateway.access.tokens import Quota

WORKER = """
import sys, time
from pathlib import Path
from driftgate.gateway.access.quotas import Quotas
from driftgate.gateway.access.tokens import Quota
quotas, quota = Quotas(Path(sys.argv[1])), Quota(500.0, 50, 3)
print("ready", flush=True)
end = float(sys.stdin.readline())
taken = 0
while time.monotonic() < end:
    taken += quotas.take(quota) == 0.0
print(taken)
"""


@given(
    st.floats(0.1, 1000.0),
    st.integers(1, 50),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_never_more_than_rate_and_burst_allow(rate: float, burst: int, pauses_s: list[float]) -> None:
    """In any stretch of time at most burst + rate x time requests are let in, and a wait is long enough."""
    quota = Quota(rate, burst)
    now_ns, due_ns, taken_at = 10 * NS, 0, []
    for pause_s in pauses_s:
        now_ns += int(pause_s * NS)
        due_ns, wait_ns = rule(due_ns, now_ns, quota)
        if wait_ns:
            assert rule(due_ns, now_ns + wait_ns, quota).wait_ns == 0
        else:
            taken_at.append(now_ns)
    for first, began_ns in enumerate(taken_at):
        stretch_s = (taken_at[-1] - began_ns) / NS
        assert len(taken_at) - first <= burst + rate * stretch_s + 1e-3


def test_a_burst_and_then_the_pace() -> None:
    """A rested token may ask as often at once as its burst says, then once per interval."""
    quota, due_ns = Quota(10.0, 3), 0
    for _ in range(3):
        due_ns, wait_ns = rule(due_ns, NS, quota)
        assert wait_ns == 0
    assert rule(due_ns, NS, quota).wait_ns == NS // 10


def test_a_time_from_before_the_machine_started_costs_one_burst() -> None:
    """What another clock, or another token, left in a cell is forgotten within a burst's time."""
    quota = Quota(10.0, 3)
    due_ns, wait_ns = rule(10**18, NS, quota)
    assert wait_ns == NS // 10
    assert rule(due_ns, NS + wait_ns, quota).wait_ns == 0


def test_a_quota_outlives_a_process(tmp_path: Path) -> None:
    """A worker that is replaced goes on where it was, and other cells are not touched."""
    now_ns = 5 * NS
    first = Quotas(tmp_path / "quotas", lambda: now_ns)
    assert first.take(Quota(1.0, 1, 7)) == 0.0
    second = Quotas(tmp_path / "quotas", lambda: now_ns)
    assert second.take(Quota(1.0, 1, 7)) == pytest.approx(1.0)
    assert second.take(Quota(1.0, 1, 8)) == 0.0
    assert (tmp_path / "quotas").stat().st_mode & 0o777 == 0o600


def test_two_processes_share_a_quota(tmp_path: Path) -> None:
    """Two processes that ask as fast as they can get rate x time + burst together, within 3 percent."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "quotas")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    asked_s = 2.0
    end = time.monotonic() + asked_s
    for process in started:
        assert process.stdin is not None
        process.stdin.write(f"{end}\n")
        process.stdin.flush()
    taken = [int(process.communicate()[0]) for process in started]
    assert all(taken)
    assert sum(taken) == pytest.approx(500 * asked_s + 50, rel=0.03)
