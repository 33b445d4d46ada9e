"""Readiness from the beats of the slots, as schedulers see it."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.processes.probes import FRESH_S, application, control_alive, ready_workers
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.slots import beat_path

NOW_NS = 10**12
S = 10**9
OLD_NS = int(FRESH_S * S) + 1

STARTING, ACCEPTING, DRAINING, DEAD = BeatState


def write_beat(path: Path, state: BeatState, pulsed_ns: int) -> None:
    """Leave a beat as a process would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beat = Beat.create(path, "b", 1, 1)
    beat.state = state
    beat.pulse(pulsed_ns, 1, 0, 0)


@pytest.mark.parametrize(
    ("slots", "ready"),
    [
        ([], 0),
        ([(STARTING, 0)], 0),
        ([(ACCEPTING, 0)], 1),
        ([(ACCEPTING, OLD_NS - 1)], 1),
        ([(ACCEPTING, OLD_NS)], 0),
        ([(ACCEPTING, -S)], 0),
        ([(DRAINING, 0)], 0),
        ([(DEAD, 0)], 0),
        ([(ACCEPTING, OLD_NS), (ACCEPTING, OLD_NS)], 0),
        ([(ACCEPTING, OLD_NS), (ACCEPTING, 0)], 1),
        ([(DRAINING, 0), (STARTING, 0), (ACCEPTING, 0), (ACCEPTING, 0)], 2),
    ],
)
def test_ready_workers_accept_and_turn_their_loops(
    tmp_path: Path, slots: list[tuple[BeatState, int]], ready: int
) -> None:
    """Workers that start, drain, hang or are gone do not count, nor a pulse from before a reboot."""
    layout = StateLayout(tmp_path)
    for number, (state, age_ns) in enumerate(slots):
        write_beat(beat_path(layout, number), state, NOW_NS - age_ns)
    assert ready_workers(layout, NOW_NS) == ready


@pytest.mark.parametrize(
    ("state", "age_ns", "alive"),
    [(STARTING, 0, True), (ACCEPTING, 0, True), (ACCEPTING, OLD_NS, False), (DEAD, 0, False)],
)
def test_control_lives_while_its_loop_turns(
    tmp_path: Path, state: BeatState, age_ns: int, alive: bool
) -> None:
    """A control plane that stands still or has ended is not alive, nor is one that never was."""
    layout = StateLayout(tmp_path)
    assert not control_alive(layout, NOW_NS)
    write_beat(layout.control_beat, state, NOW_NS - age_ns)
    assert control_alive(layout, NOW_NS) is alive


@pytest.mark.parametrize(("state", "status"), [(ACCEPTING, 200), (DRAINING, 503)])
def test_probes_answer_in_status_codes(tmp_path: Path, state: BeatState, status: int) -> None:
    """Schedulers read the status alone; a slot without a beat or with a damaged one breaks no probe."""
    layout = StateLayout(tmp_path)
    write_beat(beat_path(layout, 0), state, time.monotonic_ns())
    layout.slot(1).mkdir()
    layout.slot(2).mkdir()
    beat_path(layout, 2).write_bytes(b"not a beat")

    async def scene() -> None:
        transport = httpx.ASGITransport(app=application(layout))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get("/health/ready")).status_code == status
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/health/control")).status_code == 503

    asyncio.run(scene())
