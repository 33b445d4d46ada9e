"""A real gateway for tests: its processes, on free ports, in a directory of the test."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import PORTS_FILE, Ports
from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.slots import beat_path, read_status, slot_numbers
from driftgate.gateway.state.status import SlotStatus

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 60.0
SHARED_S = 30.0
"""Added to every deadline: tests share their machine, and waiting for what is there already costs nothing."""
QUICK = {"DRIFTGATE__TIMING__DRAIN_S": "0.1"}
"""Tests that are not about draining do not wait for it."""


def until(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Poll until `condition` holds; fail with `what` if it does not in time, not even on a busy machine.

    Where the time itself is promised, `took_s` measures it.
    """
    deadline = time.monotonic() + within_s + SHARED_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s + SHARED_S} s: {what}")
        time.sleep(0.01)


def took_s(condition: Callable[[], object], within_s: float, what: str) -> float:
    """Wait until `condition` holds and return how long that took."""
    began = time.monotonic()
    until(condition, within_s, what)
    return time.monotonic() - began


def stop(process: "subprocess.Popen[Any]") -> int:
    """Tell a process to stop and return its exit code; one that stays is killed and fails the test."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"did not stop within {STOP_WITHIN_S} s: process {process.pid}, {process.args!r}")


@dataclass
class Gateway:
    """One `driftgate serve`, and how to reach it."""

    process: "subprocess.Popen[bytes]"
    root: Path
    log: Path
    ports: Ports
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def layout(self) -> StateLayout:
        """Its state directory."""
        return StateLayout(self.root / "state")

    @property
    def registry(self) -> Path:
        """Its registry directory."""
        return self.root / "registry"

    def statuses(self) -> list[SlotStatus]:
        """What the slots say of themselves."""
        numbers = slot_numbers(self.layout)
        return [status for number in numbers if (status := read_status(self.layout, number))]

    def infer(self, model: str, rows: list[list[float]], **headers: str) -> httpx.Response:
        """Ask a model with one matrix input `x`."""
        tensor = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": rows}
        url = f"{self.ports.data}/v2/models/{model}/infer"
        return self.client.post(url, json={"inputs": [tensor]}, headers=headers)

    def admin(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Call the admin API."""
        return self.client.request(method, self.ports.admin + path, json=body)

    def model(self, name: str) -> dict[str, Any]:
        """What the admin API says of a model; empty while it knows none."""
        answer = self.admin("GET", f"/api/models/{name}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    def wait_version(self, name: str, version: int, state: str = "READY", within_s: float = 10.0) -> None:
        """Wait until a version is in a state on every worker."""

        def reached() -> bool:
            versions = self.model(name).get("versions", ())
            return any(item["version"] == version and item["state"] == state for item in versions)

        until(reached, within_s, f"{name} version {version} {state}")

    def ready(self) -> bool:
        """Whether every worker that should run accepts."""
        try:
            return self.client.get(f"{self.ports.metrics}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        return stop(self.process)


def accepting(gateway: Gateway) -> int:
    """How many workers are ready for requests; fails the test if the gateway has ended."""
    if gateway.process.poll() is not None:
        pytest.fail(f"the gateway ended: {gateway.log.read_text()[-8000:]}")
    numbers = slot_numbers(gateway.layout)
    beats = (read_beat(beat_path(gateway.layout, number)) for number in numbers)
    return sum(beat is not None and beat.state is BeatState.ACCEPTING for beat in beats)


def start(
    root: Path,
    options: tuple[str, ...],
    workers: int,
    environment: Mapping[str, str],
    stderr: int | None = None,
) -> Gateway:
    """Start `driftgate serve` on `root`/registry and `root`/state and wait until it listens.

    Its log goes to `root`/gateway.log, or to the descriptor `stderr`.
    """
    log = root / "gateway.log"
    ports_file = root / "state" / PORTS_FILE
    ports_file.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "driftgate.gateway.cli.main", "serve", "--workers", str(workers)),
        *("--registry", str(root / "registry"), "--state", str(root / "state")),
        *("--port", "0", "--admin-port", "0", "--metrics-port", "0", *options),
    ]
    with open(log, "ab") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream if stderr is None else stderr,
            cwd=root,
            env={**os.environ, **QUICK, **environment},
        )

    def answered() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the gateway ended: {log.read_text()[-8000:]}")
        return ports_file.exists()

    try:
        until(answered, READY_WITHIN_S, "the gateway listens")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Gateway(process, root, log, msgspec.json.decode(ports_file.read_bytes(), type=Ports))


def end(gateway: Gateway) -> None:
    """Stop a gateway, if it still runs."""
    gateway.client.close()
    stop(gateway.process)


@contextmanager
def running(root: Path, workers: int = 1, environment: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """A gateway on `root`/registry and `root`/state whose workers are ready, stopped at the end."""
    gateway = start(root, (), workers, environment or {})
    try:
        until(lambda: accepting(gateway) == workers, READY_WITHIN_S, "every worker accepts")
        yield gateway
    finally:
        end(gateway)
