"""A gateway of our own for a scenario: `driftgate serve` as a process, on free ports, ended with it."""

import json
import os
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from loadtests import zoo

READY_WITHIN_S = 30.0
ENDS_WITHIN_S = 40.0
POLL_S = 0.01


class Failed(Exception):
    """Something that a scenario needs did not come about; the text says what."""


@dataclass(frozen=True)
class Setup:
    """How to start a gateway. `port` 0 takes any free one; `cores` pins all its processes.

    `token` is shown to its admin API.
    """

    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    cores: frozenset[int] | None = None
    token: str = ""


@dataclass
class Gateway:
    """One running `driftgate serve`."""

    process: "subprocess.Popen[bytes]"
    root: Path
    data: str
    admin: str
    metrics: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=150, trust_env=False))

    @property
    def registry(self) -> Path:
        """Its registry directory."""
        return self.root / "registry"

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.root / "state"

    @property
    def port(self) -> int:
        """The port of the data plane."""
        return int(self.data.rpartition(":")[2])

    @property
    def monitor_pid(self) -> int:
        """The process id of its monitor; raise Failed if it has none."""
        pids = [int(line["pid"]) for line in self.log_lines("following") if line.get("process") == "monitor"]
        if not pids:
            raise Failed("the gateway has no monitor")
        return pids[-1]  # the log is also that of gateways which ran here before

    def get(self, path: str) -> Any:
        """Return what the admin API answers to a GET; raise Failed for anything but 200."""
        return self._call("GET", path, None)

    def put(self, path: str, body: object) -> Any:
        """Return the answer of the admin API to a PUT, unconditional; raise Failed for anything but 200."""
        return self._call("PUT", path, body)

    def model(self, name: str) -> dict[str, Any]:
        """Return what the admin API says of a model, empty while it knows none."""
        answer = self.client.get(f"{self.admin}/api/models/{name}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    def slots(self) -> list[dict[str, Any]]:
        """Return what each slot says of itself: slot, boot, pid, generation, accepting."""
        defaults = {"generation": 0, "accepting": False}
        return [defaults | slot for slot in self.get("/api/state")["slots"]]

    def last_log(self) -> str:
        """Return the end of its log."""
        return (self.root / "gateway.log").read_text(errors="replace")[-2000:]

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Return its log lines of one event."""
        lines = (self.root / "gateway.log").read_text(errors="replace").splitlines()
        found = (json.loads(line) for line in lines if line.startswith("{"))
        return [line for line in found if line.get("event") == event]

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; raise Failed if it does not end in time."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code; raise Failed if it does not end in time."""
        try:
            return self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"the gateway did not end within {ENDS_WITHIN_S:g} s") from None

    def close(self) -> None:
        """End it, whatever it takes."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _call(self, method: str, path: str, body: object) -> Any:
        headers = {"if-match": "*"} if method == "PUT" else {}
        answer = self.client.request(method, self.admin + path, json=body, headers=headers)
        if answer.status_code != 200:
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def until(condition: Callable[[], object], within_s: float, what: str) -> float:
    """Poll until `condition` holds and return how long that took; raise Failed with `what` if it does not."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise Failed(f"not within {within_s:g} s: {what}")
        time.sleep(POLL_S)
    return time.monotonic() - began


def publish(root: Path, kind: str, name: str, version: int) -> Path:
    """Publish a model of the zoo into `root`/registry; return the directory of the version."""
    root.mkdir(exist_ok=True)
    source = root / f"{kind}-{version}.onnx"
    zoo.build(kind, version, source)
    registry = root / "registry"
    registry.mkdir(parents=True, exist_ok=True)
    options = ["--name", name, "--version", str(version), "--registry", str(registry)]
    done = subprocess.run([driftgate(), "publish", str(source), *options], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"driftgate publish {name} {version}: {done.stderr.strip() or done.stdout.strip()}")
    return registry / name / str(version)


def make_token(root: Path, requests_per_s: int) -> str:
    """Return a new token that is good for everything, at this rate of predictions."""
    options = ["--scope", "admin", "--rate", str(requests_per_s), "--state", str(root / "state"), "--json"]
    done = subprocess.run([driftgate(), "token", "create", "load", *options], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"driftgate token create: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["secret"])


def driftgate() -> str:
    """Return the command that is installed beside this Python."""
    return str(Path(sysconfig.get_path("scripts")) / "driftgate")


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary directory for one gateway's registry and state."""
    with tempfile.TemporaryDirectory(prefix="driftgate-load-") as name:
        (Path(name) / "registry").mkdir()
        yield Path(name)


@contextmanager
def running(root: Path, setup: Setup) -> Iterator[Gateway]:
    """A gateway on `root`/registry and `root`/state, whose workers all accept; ended with the block."""
    gateway = start(root, setup)
    try:
        wait_accepting(gateway, setup.workers)
        yield gateway
    finally:
        gateway.close()


def start(root: Path, setup: Setup) -> Gateway:
    """Start a gateway and return when it listens; raise Failed if it ends instead."""
    ports_file = root / "state" / "ports.json"
    ports_file.unlink(missing_ok=True)
    command = [
        *(driftgate(), "serve", "--workers", str(setup.workers)),
        *("--registry", str(root / "registry"), "--state", str(root / "state")),
        *("--port", str(setup.port), "--admin-port", "0", "--metrics-port", "0"),
    ]
    log = root / "gateway.log"
    with open(log, "ab") as stream, on_cores(setup.cores):
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, cwd=root, env={**os.environ, **setup.environment}
        )

    def listens() -> bool:
        if process.poll() is not None:
            raise Failed(f"the gateway ended: {log.read_text(errors='replace')[-2000:]}")
        return ports_file.exists()

    until(listens, READY_WITHIN_S, "the gateway listens")
    ports = json.loads(ports_file.read_bytes())
    gateway = Gateway(process, root, ports["data"], ports["admin"], ports["metrics"])
    if setup.token:
        gateway.client.headers["authorization"] = f"Bearer {setup.token}"
    return gateway


def wait_accepting(gateway: Gateway, workers: int) -> None:
    """Wait until so many workers accept requests."""

    def all_accept() -> bool:
        if gateway.process.poll() is not None:
            raise Failed("the gateway ended")
        try:
            return [slot["accepting"] for slot in gateway.slots()].count(True) == workers
        except httpx.TransportError:
            return False

    try:
        until(all_accept, READY_WITHIN_S, f"{workers} workers accept")
    except Failed as error:
        raise Failed(f"{error}; its log ends with\n{gateway.last_log()}") from None


def wait_traffic(gateway: Gateway, model: str) -> None:
    """Wait until a version of a model has traffic."""
    until(lambda: gateway.model(model).get("traffic"), READY_WITHIN_S, f"{model} has traffic")


@contextmanager
def on_cores(cores: frozenset[int] | None) -> Iterator[None]:
    """Run the block on these cores only, and with it every process that it starts; None: wherever."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
