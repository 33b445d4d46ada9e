"""The demo's gateway, seen from outside: a real `driftgate serve`, spoken to over HTTP alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from driftgate.gateway.demo.children import Child, child, last_lines
from driftgate.gateway.demo.ports import HOST, Ports

READY_WITHIN_S = 60.0
POLL_S = 0.05
WINDOWS = {"DRIFTGATE__MONITOR__WINDOW_S": "5"}
"""So short that a person who watches sees drift within seconds."""


class GatewayFailed(Exception):
    """The gateway did not do what was asked of it; the text says what and shows the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running gateway and where it listens."""

    process: Child
    ports: Ports
    log: Path

    @property
    def data_url(self) -> str:
        """Where predictions are asked for."""
        return f"http://{HOST}:{self.ports.data}"

    @property
    def admin_url(self) -> str:
        """Where operators speak to it."""
        return f"http://{HOST}:{self.ports.admin}"

    @property
    def metrics_url(self) -> str:
        """Where metrics and probes are."""
        return f"http://{HOST}:{self.ports.metrics}"

    @property
    def urls(self) -> dict[str, str]:
        """What a person may want to open, by what it is."""
        return {
            "models": f"{self.data_url}/v2/models",
            "OpenAPI": f"{self.data_url}/openapi.json",
            "admin API": f"{self.admin_url}/api/models",
            "metrics": f"{self.metrics_url}/metrics",
        }

    def wait_until_ready(self, model: str, version: int) -> dict[str, Any]:
        """Return the metadata of a version as soon as it can answer."""
        url = f"{self.data_url}/v2/models/{model}/versions/{version}"
        self._wait(lambda: _ok(f"{url}/ready") and _ok(url), f"{model} version {version} is not ready")
        metadata: dict[str, Any] = _get(url).json()
        return metadata

    def promote(self, model: str, version: int) -> None:
        """Give a version all traffic of its model, and wait until it has it."""
        self.admin("POST", f"/api/models/{model}/promote", {"version": version})

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the admin API answers; raise GatewayFailed unless that is what was asked for."""
        try:
            answer = httpx.request(
                method, self.admin_url + path, json=body, timeout=READY_WITHIN_S, trust_env=False
            )
        except httpx.HTTPError as error:
            raise GatewayFailed(f"{method} {path}: {error}\n{last_lines(self.log)}") from error
        if answer.status_code != 200:
            raise GatewayFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    def _wait(self, done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not done():
            if self.process.poll() is not None:
                raise GatewayFailed(f"the gateway ended with {self.process.poll()}:\n{last_lines(self.log)}")
            if time.monotonic() > deadline:
                raise GatewayFailed(f"{otherwise} after {READY_WITHIN_S:.0f} s:\n{last_lines(self.log)}")
            time.sleep(POLL_S)


@contextmanager
def served(registry: Path, state: Path, log: Path, ports: Ports) -> Iterator[Server]:
    """Run `driftgate serve` on a registry while the block runs."""
    words = ["driftgate.gateway.cli.main", "serve", "--registry", str(registry), "--state", str(state)]
    for option, port in (("", ports.data), ("admin-", ports.admin), ("metrics-", ports.metrics)):
        words += [f"--{option}host", HOST, f"--{option}port", str(port)]
    with child(words, log, WINDOWS) as process:
        yield Server(process, ports, log)


def _ok(url: str) -> bool:
    try:
        return _get(url).status_code == 200
    except httpx.HTTPError:
        return False


def _get(url: str) -> httpx.Response:
    # Proxies are for the internet, and this is on this machine.
    return httpx.get(url, timeout=2.0, trust_env=False)
