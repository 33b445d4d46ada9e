"""Readiness of a real gateway: red while it starts, green, red while it drains or all its workers hang."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.slots import beat_path
from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until
from harness.processes import children_of

Start = Callable[..., Gateway]
Publish = Callable[..., Published]

PATIENT = {"DRIFTGATE__TIMING__HUNG_AFTER_S": "60"}


def status(url: str) -> int:
    """The status of an answer on a connection of its own; 0 if there is none."""
    try:
        return httpx.get(url, timeout=2).status_code
    except httpx.TransportError:
        return 0


def machine(gateway: Gateway) -> int:
    """What schedulers see on the metrics port."""
    return status(f"{gateway.ports.metrics}/health/ready")


def pid_of(gateway: Gateway, slot: int) -> int:
    """The process that has a slot."""
    beat = read_beat(beat_path(gateway.layout, slot))
    assert beat is not None
    return beat.pid


def control_of(gateway: Gateway) -> int:
    """The pid of the control process, 0 until it is there."""
    for pid in children_of(gateway.process.pid):
        if b"driftgate.gateway.admin.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def test_a_worker_that_cannot_serve_yet_is_not_ready(start_gateway: Start, publish_version: Publish) -> None:
    """While workers wait for a first desired state the machine is live and not ready; then it is."""
    publish_version("m")
    gateway = start_gateway(environment=PATIENT, wait=False)
    until(lambda: control_of(gateway), 10, "control is started")
    control = control_of(gateway)
    os.kill(control, signal.SIGSTOP)
    assert not any(gateway.layout.desired.glob("*.json")), "control was faster than this test"
    until(lambda: beat_path(gateway.layout, 0).exists(), 10, "the worker runs")
    until(lambda: machine(gateway) == 503, 10, "the probes answer")
    assert status(f"{gateway.ports.metrics}/health/live") == 200
    beat = read_beat(beat_path(gateway.layout, 0))
    assert beat is not None
    assert beat.state is BeatState.STARTING
    os.kill(control, signal.SIGCONT)
    until(lambda: machine(gateway) == 200, 10, "the machine is ready")
    assert status(f"{gateway.ports.data}/v2/health/ready") == 200


def test_draining_is_not_ready_and_still_answers(start_gateway: Start, publish_version: Publish) -> None:
    """From SIGTERM on both probes are red and both planes live, while predictions are still answered."""
    publish_version("m")
    gateway = start_gateway(environment={"DRIFTGATE__TIMING__DRAIN_S": "2"})
    with httpx.Client(timeout=5) as kept:
        ready, live = (f"{gateway.ports.data}/v2/health/{word}" for word in ("ready", "live"))
        assert (kept.get(ready).status_code, machine(gateway)) == (200, 200)
        gateway.process.terminate()
        until(lambda: machine(gateway) == 503, 1, "the machine is not ready")
        red = kept.get(ready)
        assert (red.status_code, red.headers["connection"]) == (503, "close")
        assert kept.get(live).status_code == 200
        assert status(f"{gateway.ports.metrics}/health/live") == 200
        assert gateway.infer("m", [[1, 2, 3, 4]]).status_code == 200
    assert gateway.process.wait(60) == 0


def test_a_machine_whose_workers_all_hang_is_not_ready(
    start_gateway: Start, publish_version: Publish
) -> None:
    """With no worker left that turns the machine is live and not ready, until they have been replaced."""
    publish_version("m")
    gateway = start_gateway(workers=2, environment={"DRIFTGATE__TIMING__HUNG_AFTER_S": "2"})
    hung = [pid_of(gateway, slot) for slot in range(2)]
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: machine(gateway) == 503, 10, "no worker is left")
    assert status(f"{gateway.ports.metrics}/health/live") == 200
    assert status(f"{gateway.ports.metrics}/health/control") == 200
    until(lambda: machine(gateway) == 200, 10, "a worker turns again")
    assert status(f"{gateway.ports.data}/v2/health/ready") == 200
    until(
        lambda: {pid_of(gateway, slot) for slot in range(2)}.isdisjoint(hung), 10, "both have been replaced"
    )
