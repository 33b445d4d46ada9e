"""A real Prometheus on loopback that scrapes every second, with the project's configuration and rules."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from harness.gateway import stop, until

DEPLOYED = Path(__file__).parents[2] / "deploy" / "prometheus"
STARTS_WITHIN_S = 20.0


@dataclass
class Prometheus:
    """A Prometheus and how to ask it."""

    base: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now: labels and value of each series; fail the test on an error."""
        answer = self.client.get(f"{self.base}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        found = answer["data"]["result"]
        return list(found) if answer["data"]["resultType"] == "vector" else [found]

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules, with what their last evaluation said."""
        groups = self.client.get(f"{self.base}/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return self.client.get(f"{self.base}/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def scraping(program: str, directory: Path, target: str) -> Iterator[Prometheus]:
    """Let Prometheus scrape `target` (host:port) until the block ends; it keeps all in `directory`."""
    (directory / "rules.yaml").write_text(yaml.safe_dump(_hurried_rules()))
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(_hurried_configuration(target)))
    address = _free_address()
    words = [
        *(program, "--log.level=warn", f"--web.listen-address={address}"),
        *(f"--config.file={directory / 'prometheus.yaml'}", f"--storage.tsdb.path={directory / 'data'}"),
    ]
    with open(directory / "prometheus.log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=directory)
    found = Prometheus(f"http://{address}")
    try:
        until(lambda: _lives(process, directory) and found.is_ready(), STARTS_WITHIN_S, "Prometheus is ready")
        yield found
    finally:
        found.client.close()
        stop(process)


def _lives(process: "subprocess.Popen[bytes]", directory: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(f"Prometheus ended: {(directory / 'prometheus.log').read_text()[-4000:]}")
    return True


def _hurried_rules() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOYED / "rules.yaml").read_text())
    for group in document["groups"]:
        group["interval"] = "1s"
    return document


def _hurried_configuration(target: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOYED / "prometheus.yaml").read_text())
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = document["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    return document


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
