"""The servers that are compared: each is started for its cells and ended after them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.goals import MODELS
from loadtests.bench.machine import Cores, move_threads
from loadtests.gateway import (
    READY_WITHIN_S,
    Failed,
    Setup,
    make_token,
    on_cores,
    publish,
    running,
    until,
    wait_traffic,
)
from loadtests.wire import Address

PROJECT = Path(__file__).parents[2]
UNWATCHED, SAME_CORE, OTHER_CORE = "no monitor", "monitor on its core", "monitor on the other core"
APPS = {"ceiling": "ceiling", "floor": "floor", "day one": "day_one"}
OURS: dict[str, dict[str, str]] = {
    "ours": {},
    "ours, log off": {"DRIFTGATE__LOG__ENABLED": "false"},
    "ours, log written": {"DRIFTGATE__LOG__MODE": "written"},
    "ours, 2 workers": {},
    "ours, guarded": {"DRIFTGATE__AUTH__MODE": "all"},
    UNWATCHED: {"DRIFTGATE__MONITOR__ENABLED": "false"},
    SAME_CORE: {},
    OTHER_CORE: {},
}
SPLIT = {"arms": {"1": 90, "2": 10}}
"""Everything on means that two versions share the traffic, too."""
GUARDED = "ours, guarded"
GUARDED_SPLIT = {"arms": {"1": 80, "2": 15, "3": 5}}
QUOTA = 1_000_000
"""Requests per second: every one is counted, and none refused."""
SETTLED_S = 1.0


@dataclass(frozen=True)
class Bench:
    """Where the bench keeps models and registry, and which cores it uses."""

    root: Path
    cores: Cores

    def model(self, kind: str) -> Path:
        """The ONNX file of a model, for the applications that take a file."""
        return self.root / f"{kind}-1.onnx"


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, whose process tree is charged, and the token to show, if any."""

    address: Address
    pid: int
    token: str = ""


def prepare(bench: Bench) -> None:
    """Build and publish two versions of each model, and the slow one."""
    for kind in MODELS:
        for version in (1, 2):
            publish(bench.root, kind, kind, version)
    publish(bench.root, "tiny", "tiny", 3)
    publish(bench.root, "slow", "slow", 1)


@contextmanager
def serving(bench: Bench, name: str, model: str) -> Iterator[Server]:
    """One server for the time of the block; raise Failed if it does not come up."""
    if name in APPS:
        with _application(bench, APPS[name], model) as server:
            yield server
    else:
        with _gateway(bench, name) as server:
            yield server


@contextmanager
def _application(bench: Bench, app: str, model: str) -> Iterator[Server]:
    address = Address("127.0.0.1", _free_port())
    command = [
        *(sys.executable, "-m", "uvicorn", f"loadtests.bench.apps.{app}:app", "--port", str(address.port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        *("--lifespan", "off", "--backlog", "2048"),
    ]
    variables = {**os.environ, "LOADTESTS_MODEL": str(bench.model(model))}
    with on_cores(bench.cores.server):
        process = subprocess.Popen(command, env=variables, cwd=PROJECT)
    try:
        until(lambda: _listens(address, process), READY_WITHIN_S, f"{app} listens")
        yield Server(address, process.pid)
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(address: Address, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise Failed("the application ended; run it by hand to see why")
    try:
        socket.create_connection((address.host, address.port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def _gateway(bench: Bench, name: str) -> Iterator[Server]:
    workers = 2 if name == "ours, 2 workers" else 1
    cores = bench.cores.server if workers == 1 else bench.cores.server | bench.cores.load
    token = make_token(bench.root, QUOTA) if name == GUARDED else ""
    setup = Setup(workers=workers, environment=OURS[name], cores=cores, token=token)
    with running(bench.root, setup) as gateway:
        for kind in MODELS:
            wait_traffic(gateway, kind)
            guarded = name == GUARDED and kind == "tiny"
            gateway.put(f"/api/models/{kind}/traffic", GUARDED_SPLIT if guarded else SPLIT)
        wait_traffic(gateway, "slow")
        if name == OTHER_CORE:
            move_threads(gateway.monitor_pid, bench.cores.load)
        time.sleep(SETTLED_S)
        yield Server(Address.of(gateway.data), gateway.process.pid, token)
