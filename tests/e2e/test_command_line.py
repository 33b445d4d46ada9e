"""The verbs that run processes: a single file served, the planes apart, stopped before they were ready."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import bind, read_ports
from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.slots import beat_path
from driftgate.models.publish.onnx_file import Published

from harness.gateway import stop, until
from harness.models import linear_model

QUESTION = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def driftgate(tmp_path: Path) -> Iterator[Run]:
    """Run verbs in the test's directory; each is stopped with SIGTERM when the test ends."""
    with ExitStack() as running:

        def run(*words: str) -> "subprocess.Popen[str]":
            process = running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "driftgate.gateway.cli.main", *words],
                    cwd=tmp_path,
                    env={**os.environ, "DRIFTGATE__TIMING__DRAIN_S": "0"},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            running.callback(stop, process)
            return process

        yield run


def ask(url: str, model: str) -> list[float]:
    answer = httpx.post(f"{url}/v2/models/{model}/infer", json=QUESTION)
    assert answer.status_code == 200, answer.text
    return [float(value) for value in answer.json()["outputs"][0]["data"]]


def accepts(layout: StateLayout, slot: int) -> bool:
    beat = read_beat(beat_path(layout, slot))
    return beat is not None and beat.state is BeatState.ACCEPTING


def free_port() -> int:
    with bind("127.0.0.1", 0, "") as listener:
        return int(listener.getsockname()[1])


@pytest.mark.alone
def test_one_file_is_served(driftgate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`driftgate serve MODEL.onnx` answers under the file's name, soon, and in little memory."""
    (tmp_path / "doubles.onnx").write_bytes(linear_model(2.0).SerializeToString())
    began = time.monotonic()
    gateway = driftgate(
        *("serve", "doubles.onnx", "--workers", "1"),
        *("--port", "0", "--admin-port", "0", "--metrics-port", "0"),
    )
    assert gateway.stdout is not None
    assert "is ready" in gateway.stdout.readline()
    ready_s = time.monotonic() - began
    layout = StateLayout(tmp_path / "state")
    ports = read_ports(layout.root)
    assert ports is not None
    assert ports.data in gateway.stdout.readline()
    assert ask(ports.data, "doubles") == [20.0]
    worker = read_beat(beat_path(layout, 0))
    assert worker is not None
    resident_mb = (
        int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
    )
    with capsys.disabled():
        print(f"\nready after {ready_s:.2f} s, worker {resident_mb:.0f} MB")
    assert resident_mb <= 120
    # Two seconds on a machine of its own; the one of the tests may be any.
    assert ready_s <= 4
    gateway.send_signal(signal.SIGINT)
    assert gateway.wait(60) == 0


def test_the_planes_run_apart(
    driftgate: Run, publish_version: Callable[..., Published], tmp_path: Path
) -> None:
    """Control, worker, monitor and probes on one state directory serve, archive and count on their own."""
    publish_version("m", scale=2.0)
    layout, port, metrics_port = StateLayout(tmp_path / "state"), free_port(), free_port()
    control = driftgate("control", "--admin-port", "0")
    worker = driftgate("worker", "--slot", "3", "--port", str(port))
    monitor = driftgate("monitor")
    probes = driftgate("probes", "--metrics-port", str(metrics_port))
    until(partial(accepts, layout, 3), 20, "the worker accepts")
    assert ask(f"http://127.0.0.1:{port}", "m") == [20.0]
    refused = driftgate("control", "--admin-port", "0")
    assert refused.wait(60) == 1
    assert refused.stderr is not None
    assert f"process {control.pid} runs a gateway" in refused.stderr.read()
    refused = driftgate("worker", "--slot", "3", "--port", "0")
    assert refused.wait(60) == 1
    assert refused.stderr is not None
    assert f"slot 3 is held by process {worker.pid}" in refused.stderr.read()
    refused = driftgate("monitor")
    assert refused.wait(60) == 1
    assert refused.stderr is not None
    assert "another monitor follows the logs" in refused.stderr.read()
    metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    assert 'driftgate_requests_total{code="200",model="m",version="1"} 1.0' in metrics
    for process in (worker, control, probes, monitor):
        process.terminate()
        assert process.wait(60) == 0
    assert [path.suffix for path in layout.archive.rglob("*.parquet")]


@pytest.mark.parametrize("after_s", [0.15, 0.3, 0.6])
def test_a_stop_while_starting_ends_cleanly(driftgate: Run, tmp_path: Path, after_s: float) -> None:
    """Ctrl-C before the gateway is ready ends it soon, whatever its processes were importing."""
    gateway = driftgate("serve", "--port", "0", "--admin-port", "0", "--metrics-port", "0")
    until((tmp_path / "state" / "ports.json").exists, 10, "the gateway listens")
    time.sleep(after_s)
    gateway.send_signal(signal.SIGINT)
    assert gateway.wait(30) == 0
