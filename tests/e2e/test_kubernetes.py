"""The gateway under the variables that Kubernetes injects for a service called driftgate."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from driftgate.gateway.listeners import Ports, read_ports

PATIENCE_S = 30.0
INJECTED = {
    "DRIFTGATE_PORT": "tcp://10.0.0.1:8000",
    "DRIFTGATE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "DRIFTGATE_PORT_8000_TCP_ADDR": "10.0.0.1",
    "DRIFTGATE_PORT_8000_TCP_PORT": "8000",
    "DRIFTGATE_PORT_8000_TCP_PROTO": "tcp",
    "DRIFTGATE_SERVICE_HOST": "10.0.0.1",
    "DRIFTGATE_SERVICE_PORT": "8000",
    "DRIFTGATE_SERVICE_PORT_METRICS": "8002",
    "DRIFTGATE_SERVICE_PORT_PREDICTIONS": "8000",
}


def test_starts_beside_a_service_of_its_own_name(tmp_path: Path) -> None:
    """Variables of a service called driftgate are no settings: the gateway becomes ready and stops with 0."""
    words = ["serve", "--port", "0", "--admin-port", "0", "--metrics-port", "0", "--workers", "1"]
    words += ["--registry", str(tmp_path / "registry"), "--state", str(tmp_path / "state")]
    with (tmp_path / "log").open("w") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-P", "-m", "driftgate.gateway.cli.main", *words],
            env={**os.environ, **INJECTED},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_ready(gateway, tmp_path)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
    finally:
        gateway.kill()
        gateway.wait()


def wait_until_ready(gateway: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Ask the readiness probe until it says yes."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_ready(read_ports(tmp_path / "state")):
        assert gateway.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)


def is_ready(ports: Ports | None) -> bool:
    """Tell whether the readiness probe answers 200."""
    try:
        return ports is not None and httpx.get(f"{ports.metrics}/health/ready").status_code == 200
    except httpx.TransportError:
        return False
