"""Quotas: as many requests as the rate and the burst allow, however many processes count them."""

import os
import subprocess
import sys
import time
from fcntl import LOCK_EX, flock
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.access.quotas import NS, Pace, Quotas, rule
from driftgate.gateway.access.tokens import Quota

WORKER = """
import sys, time
from pathlib import Path
from driftgate.gateway.access.quotas import Quotas
from driftgate.gateway.access.tokens import Quota
def clock():
    global now_ns
    now_ns = time.monotonic_ns()
    return now_ns
quotas, quota = Quotas(Path(sys.argv[1]), clock), Quota(float(sys.argv[2]), int(sys.argv[3]), 3)
print("ready", flush=True)
sys.stdin.readline()
while True:
    print(*(now_ns for _ in range(50) if not quotas.take(quota)), flush=True)
    time.sleep(0.001)
"""
"""Asks as fast as it can, and tells when what it was given."""


def let_in_at_most(taken_ns: list[int], quota: Quota) -> bool:
    """Whether in no stretch of time more than burst + rate x time were let in, to the last request.

    That is, the i-th until the j-th came no faster than (j - i) intervals less what the burst reaches ahead.
    """
    pace = Pace.of(quota)
    behind_ns = [at_ns - place * pace.interval_ns for place, at_ns in enumerate(sorted(taken_ns))]
    return all(
        most_ns - now_ns <= pace.reach_ns
        for most_ns, now_ns in zip(accumulate(behind_ns, max), behind_ns, strict=True)
    )


@given(
    st.floats(0.1, 1000.0),
    st.integers(1, 50),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_never_more_than_rate_and_burst_allow(rate: float, burst: int, pauses_s: list[float]) -> None:
    """In any stretch of time at most burst + rate x time requests are let in, and a wait is long enough."""
    quota = Quota(rate, burst)
    pace = Pace.of(quota)
    now_ns, due_ns, taken_ns = 10 * NS, 0, []
    for pause_s in pauses_s:
        now_ns += int(pause_s * NS)
        ruling = rule(due_ns, now_ns, pace, 1)
        due_ns = ruling.end_ns
        if ruling.wait_ns:
            assert rule(due_ns, now_ns + ruling.wait_ns, pace, 1).wait_ns == 0
        else:
            taken_ns.append(now_ns)
    assert let_in_at_most(taken_ns, quota)


@given(
    st.sampled_from([(100.0, 5), (5_000.0, 1), (5_000.0, 300), (100_000.0, 20_000), (1_000_000.0, 10_000)]),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 300), st.integers(0, 5_000_000), st.booleans()),
        max_size=60,
    ),
)
def test_leases_let_in_no_more(
    rate_burst: tuple[float, int], steps: list[tuple[int, int, int, bool]]
) -> None:
    """Three workers, each asking in spurts and killed now and then, never exceed the quota together."""
    quota, now_ns, taken_ns = Quota(*rate_burst), 10 * NS, []

    def clock() -> int:
        return now_ns

    with TemporaryDirectory() as directory:
        path = Path(directory) / "quotas"
        workers = [Quotas(path, clock) for _ in range(3)]
        for who, asks, pause_ns, killed in steps:
            now_ns += pause_ns
            if killed:
                workers[who] = Quotas(path, clock)
            taken_ns += [now_ns] * [workers[who].take(quota) for _ in range(asks)].count(0.0)
    assert let_in_at_most(taken_ns, quota)


def test_a_lone_worker_gets_all_of_its_quota(tmp_path: Path) -> None:
    """Leases cost one who asks nothing: the burst at once, then the rate, to the last request."""
    now_ns = 10 * NS
    quotas, quota = Quotas(tmp_path / "quotas", lambda: now_ns), Quota(10_000.0, 10_000)
    assert [quotas.take(quota) for _ in range(12_000)].count(0.0) == 10_000
    for _ in range(100):
        now_ns += NS // 100
        assert [quotas.take(quota) for _ in range(200)].count(0.0) == 100


def test_an_idle_worker_holds_back_less_than_a_lease(tmp_path: Path) -> None:
    """What one worker has leased and does not use is all that another one misses, and only once."""
    now_ns = 10 * NS
    quota = Quota(10_000.0, 10_000)
    idle, busy = (Quotas(tmp_path / "quotas", lambda: now_ns) for _ in range(2))
    assert idle.take(quota) == 0.0
    taken = [busy.take(quota) for _ in range(12_000)].count(0.0)
    assert taken == 10_000 - Pace.of(quota).lease
    now_ns += NS // 100
    assert [busy.take(quota) for _ in range(200)].count(0.0) == 100


@pytest.mark.parametrize(("rate", "burst", "lease"), [(499, 499, 1), (5e3, 64, 1), (1e4, 10_000, 20)])
def test_low_quotas_are_asked_for_each_request(rate: float, burst: int, lease: int) -> None:
    """A lease is two milliseconds of the rate, no more than a small part of the burst, and at least one."""
    assert Pace.of(Quota(rate, burst)).lease == lease


def test_a_burst_and_then_the_pace() -> None:
    """A rested token may ask as often at once as its burst says, then once per interval."""
    pace, due_ns = Pace.of(Quota(10.0, 3)), 0
    for _ in range(3):
        _, due_ns, wait_ns = rule(due_ns, NS, pace, 1)
        assert wait_ns == 0
    assert rule(due_ns, NS, pace, 1).wait_ns == NS // 10


def test_a_time_from_before_the_machine_started_costs_one_burst() -> None:
    """What another clock, or another token, left in a cell is forgotten within a burst's time."""
    pace = Pace.of(Quota(10.0, 3))
    _, due_ns, wait_ns = rule(10**18, NS, pace, 1)
    assert wait_ns == NS // 10
    assert rule(due_ns, NS + wait_ns, pace, 1).wait_ns == 0


def test_a_quota_outlives_a_process(tmp_path: Path) -> None:
    """A worker that is replaced goes on where it was, and other cells are not touched."""
    now_ns = 5 * NS
    first = Quotas(tmp_path / "quotas", lambda: now_ns)
    assert first.take(Quota(1.0, 1, 7)) == 0.0
    second = Quotas(tmp_path / "quotas", lambda: now_ns)
    assert second.take(Quota(1.0, 1, 7)) == pytest.approx(1.0)
    assert second.take(Quota(1.0, 1, 8)) == 0.0
    assert (tmp_path / "quotas").stat().st_mode & 0o777 == 0o600


def test_a_process_that_stands_still_stops_nobody(tmp_path: Path) -> None:
    """Who keeps the lock is waited for once; after that requests are counted without it."""
    quotas, quota = Quotas(tmp_path / "quotas"), Quota(0.001, 10)
    holder = os.open(tmp_path / "quotas", os.O_RDWR)
    flock(holder, LOCK_EX)
    assert [quotas.take(quota) for _ in range(12)].count(0.0) == 10
    os.close(holder)


@pytest.mark.parametrize(("rate", "burst"), [(400.0, 50), (20_000.0, 2_000)])
def test_processes_share_a_quota(tmp_path: Path, rate: float, burst: int) -> None:
    """Three processes that ask as fast as they can, one of them killed, get together what is allowed."""
    quota = Quota(rate, burst)
    command = [sys.executable, "-c", WORKER, str(tmp_path / "quotas"), str(rate), str(burst)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    outputs: list[str] = []
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        time.sleep(0.2)
        started[0].kill()
        time.sleep(0.4)
    finally:
        for process in started:
            process.kill()
            outputs.append(process.communicate()[0])
    # A killed process may have said half of its last line.
    taken_ns = [int(at) for output in outputs for line in output.split("\n")[:-1] for at in line.split()]
    assert let_in_at_most(taken_ns, quota)
    assert len(taken_ns) > burst
