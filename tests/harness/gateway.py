"""A real gateway for tests: its processes, on free ports, in a directory of the test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import PORTS_FILE, Ports
from driftgate.gateway.state.slots import read_status, slot_numbers
from driftgate.gateway.state.status import SlotStatus

READY_WITHIN_S = 20.0
QUICK = {"DRIFTGATE__TIMING__DRAIN_S": "0.1"}
"""Tests that are not about draining do not wait for it."""


def until(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Poll until `condition` holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {what}")
        time.sleep(0.01)


@dataclass
class Gateway:
    """One `driftgate serve`, and how to reach it."""

    process: "subprocess.Popen[bytes]"
    root: Path
    log: Path
    ports: Ports
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

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

    def stop(self, within_s: float = 10.0) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)


def accepting(gateway: Gateway) -> int:
    """How many workers accept requests; fails the test if the gateway has ended."""
    if gateway.process.poll() is not None:
        pytest.fail(f"the gateway ended: {gateway.log.read_text()[-2000:]}")
    return sum(status.accepting for status in gateway.statuses())


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
            pytest.fail(f"the gateway ended: {log.read_text()[-2000:]}")
        return ports_file.exists()

    until(answered, READY_WITHIN_S, "the gateway listens")
    return Gateway(process, root, log, msgspec.json.decode(ports_file.read_bytes(), type=Ports))


def end(gateway: Gateway) -> None:
    """Stop a gateway, if it still runs."""
    gateway.client.close()
    if gateway.process.poll() is None:
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(10)
