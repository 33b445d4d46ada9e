"""A gateway that is replaced by another on the same ports and state: nobody is refused, nothing is lost."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from driftgate.gateway.listeners import read_ports

from harness.gateway import QUICK, Gateway, accepting, end, until
from harness.models import linear_model, publish_model

BODY = msgspec.json.encode(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}]}
)
WITHIN_S = 40.0


class Hammer(threading.Thread):
    """Asks over a new connection every time, until told to stop."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._address = urlsplit(url)
        self._stopped = threading.Event()
        self.answered = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._ask()
            except OSError as error:
                self.failures.append(repr(error))

    def _ask(self) -> None:
        connection = HTTPConnection(str(self._address.hostname), self._address.port or 0, timeout=10)
        try:
            connection.request("POST", "/v2/models/m/infer", BODY)
            answer = connection.getresponse()
            if answer.status == 200 and b"8.0" in answer.read():
                self.answered += 1
            else:
                self.failures.append(str(answer.status))
        finally:
            connection.close()

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def publish(root: Path) -> None:
    publish_model(linear_model(2.0), root / "registry")


def begin_replacement(old: Gateway, workers: int = 2) -> "subprocess.Popen[bytes]":
    command = [
        *(
            sys.executable,
            "-m",
            "driftgate.gateway.cli.main",
            "serve",
            "--replace",
            "--workers",
            str(workers),
        ),
        *("--registry", str(old.registry), "--state", str(old.layout.root)),
        *("--port", "0", "--admin-port", "0", "--metrics-port", "0"),
    ]
    with open(old.log, "ab") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=stream, cwd=old.root, env={**os.environ, **QUICK}
        )


def owner(gateway: Gateway) -> int:
    ports = read_ports(gateway.layout.root)
    return ports.pid if ports else 0


def replaced(old: Gateway) -> Gateway:
    """Replace a gateway and return the new one, when the old one has left."""
    process = begin_replacement(old)
    until(lambda: owner(old) == process.pid, WITHIN_S, "the successor owns the state")
    assert old.process.wait(WITHIN_S) == 0
    old.client.close()
    return Gateway(process, old.root, old.log, old.ports)


@pytest.mark.alone
def test_three_replacements_refuse_nobody(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    """While clients open connections all the time, three replacements fail and refuse none of them."""
    publish(tmp_path)
    gateway: Gateway = start_gateway(workers=2)
    gateway.wait_version("m", 1)
    hammers = [Hammer(gateway.ports.data) for _ in range(3)]
    for hammer in hammers:
        hammer.start()
    try:
        for _ in range(3):
            gateway = replaced(gateway)
            before = sum(hammer.answered for hammer in hammers)
            until(lambda: sum(h.answered for h in hammers) > before + 50, WITHIN_S, "it is served on")  # noqa: B023
            assert gateway.admin("GET", "/api/state").status_code == 200
            assert gateway.ready()
    finally:
        for hammer in hammers:
            hammer.stop()
        end(gateway)
    assert [hammer.failures for hammer in hammers] == [[], [], []]
    assert sum(hammer.answered for hammer in hammers) > 300
    assert len(list(gateway.layout.slots.iterdir())) == 4


def test_a_successor_that_dies_leaves_the_old_gateway_in_place(
    tmp_path: Path, start_gateway: Callable[..., Gateway]
) -> None:
    """A successor killed before it is ready changes nothing, and another one can come."""
    publish(tmp_path)
    gateway: Gateway = start_gateway()
    gateway.wait_version("m", 1)
    killed = begin_replacement(gateway)
    until(lambda: (gateway.layout.slots / "1").exists(), WITHIN_S, "the successor starts its workers")
    killed.kill()
    killed.wait()
    assert gateway.infer("m", [[1, 1, 1, 1]]).status_code == 200
    assert gateway.admin("GET", "/api/state").status_code == 200
    assert owner(gateway) == gateway.process.pid
    successor = replaced(gateway)
    try:
        assert successor.infer("m", [[1, 1, 1, 1]]).status_code == 200
    finally:
        end(successor)


def test_without_a_running_gateway_replacing_is_starting(
    tmp_path: Path, start_gateway: Callable[..., Gateway]
) -> None:
    """`--replace` where nothing runs starts a gateway as usual."""
    gateway = start_gateway("--replace")
    assert owner(gateway) == gateway.process.pid


def test_who_hands_nothing_over_is_named(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    """A gateway that does not answer at its socket is not replaced, and the text says what to do."""
    gateway = start_gateway()
    gateway.layout.handover.unlink()
    refused = begin_replacement(gateway)
    assert refused.wait(WITHIN_S) == 1
    assert "stop it instead" in gateway.log.read_text()
    assert accepting(gateway) == 1
