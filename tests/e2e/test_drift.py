"""From requests to an alarm, in a real gateway with windows of a second."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import driftgate

from harness.gateway import Gateway, running, took_s, until

ROWS = 60
WINDOW_US = 1_000_000
SEEN_WITHIN_S = 2.0


class Traffic:
    """Rows at a steady pace until it is closed; `shift` is added to every age."""

    def __init__(self, gateway: Gateway) -> None:
        self.shift = 0.0
        self.statuses: set[int] = set()
        self._gateway = gateway
        self._rng = np.random.default_rng(7)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more."""
        self._closed.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._closed.wait(0.04):
            ages = self._rng.normal(40 + self.shift, 10, ROWS)
            incomes = self._rng.normal(size=ROWS)
            rows = [
                {"age": float(age), "income": float(income)}
                for age, income in zip(ages, incomes, strict=True)
            ]
            url = f"{self._gateway.ports.data}/v2/models/pay/predict"
            self.statuses.add(self._gateway.client.post(url, json={"rows": rows}).status_code)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose model was trained on ages about 40."""
    root, rng = tmp_path_factory.mktemp("drift"), np.random.default_rng(1)
    frame = pd.DataFrame({"age": rng.normal(40, 10, 5000), "income": rng.normal(size=5000)})
    model = LinearRegression().fit(frame, frame["age"] * 2)
    driftgate.publish(model, name="pay", registry=root / "registry", reference=frame)
    with running(root, environment={"DRIFTGATE__MONITOR__WINDOW_S": "1"}) as started:
        yield started


def version(gateway: Gateway) -> dict[str, Any]:
    """What is said of the only version, empty while nothing is."""
    versions = gateway.admin("GET", "/api/models/pay/drift").json()["versions"]
    return dict(versions[0]["figure"]) if versions else {}


def command(gateway: Gateway, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `driftgate drift` on the gateway."""
    line = [sys.executable, "-m", "driftgate.gateway.cli.main", "drift", *words]
    return subprocess.run(
        [*line, "--server", gateway.ports.admin], capture_output=True, text=True, check=False, timeout=60
    )


def has_windows(gateway: Gateway, count: int) -> bool:
    """Whether so many windows are complete."""
    streams = version(gateway).get("streams", ())
    return bool(streams) and streams[0]["windows"] >= count


def metric(gateway: Gateway, name: str) -> float:
    """The value of the first series of a metric, NaN without any."""
    text = gateway.client.get(f"{gateway.ports.metrics}/metrics").text
    found = [line for line in text.splitlines() if line.startswith(name + "{")]
    return float(found[0].split()[-1]) if found else float("nan")


def phase(gateway: Gateway) -> str:
    """Whether the version drifts."""
    return str(version(gateway).get("drift", {}).get("phase", ""))


def test_drift_is_found_named_told_and_acknowledged(gateway: Gateway) -> None:
    """Steady traffic is quiet; a shifted feature is named within seconds, by API, metrics, alert and CLI."""
    traffic = Traffic(gateway)
    until(lambda: has_windows(gateway, 3), 15, "windows are complete")
    assert phase(gateway) == "quiet"
    refused = command(gateway, "arm", "pay")
    assert refused.returncode == 4, refused
    assert "--without-hours" in refused.stderr
    armed = command(gateway, "arm", "pay@1", "--without-hours", "--why", "no seasons here")
    assert armed.returncode == 0, armed.stderr
    until(lambda: version(gateway)["watch"] == "armed", 5, "the monitor follows")
    traffic.shift, shifted_us = 8.0, time.time_ns() // 1000
    until(lambda: phase(gateway) == "drifting", 15, "the drift is found")
    found = version(gateway)
    assert {"age"} <= set(found["drift"]["names"]) <= {"age", "variable", "request.latency_ms"}
    assert abs(found["drift"]["onset_us"] - shifted_us) <= 3 * WINDOW_US
    said = command(gateway, "status", "pay")
    assert "pay version 1: drifting since " in said.stdout, said
    assert "age: more rows" in said.stdout
    shown = command(gateway, "show", "pay", "age", "--minutes", "1")
    assert "age of pay@1, arm stable (input): drifts" in shown.stdout, shown
    assert "moved" in shown.stdout
    until(lambda: alerts(gateway), 5, "there is an alert")
    assert alerts(gateway)[0]["severity"] == "ticket"
    assert metric(gateway, "driftgate_drift_state") == 2
    assert metric(gateway, "driftgate_drift_log10_evalue") >= metric(
        gateway, "driftgate_drift_target_log10_evalue"
    )
    would = command(gateway, "backtest", "pay", "--since", "1h", "--budget", "1 in 4w")
    assert "age" in would.stdout, would
    assert "Not gone through: dependence of pairs" in would.stdout
    traffic.shift = 0.0
    assert command(gateway, "ack", "pay", "--why", "a test").returncode == 0
    until(lambda: phase(gateway) == "quiet", 5, "it begins anew")
    traffic.close()
    assert traffic.statuses == {200}
    events = gateway.admin("GET", "/api/events").json()["events"]
    why = {event["kind"]: event["why"] for event in events}
    assert "no seasons here" in why["drift_armed"]
    assert "a test" in why["drift_acknowledged"]
    assert command(gateway, "observe", "pay").returncode == 0
    until(lambda: version(gateway)["watch"] == "observing", 5, "the monitor follows")
    assert "nobody is notified" in command(gateway, "status").stdout


def alerts(gateway: Gateway) -> list[dict[str, Any]]:
    """The alerts of drift."""
    found = gateway.admin("GET", "/api/models/pay/alerts").json()["alerts"]
    return [one for one in found if one["rule"] == "drift"]


def test_a_killed_monitor_goes_on(gateway: Gateway) -> None:
    """After kill -9 the next monitor counts on where the last one was saved, and predictions never wait."""
    traffic = Traffic(gateway)
    until(lambda: has_windows(gateway, 1), 15, "windows are complete")
    first_us, pid = version(gateway)["first_us"], monitor_pid(gateway)
    assert pid, "the monitor runs"
    os.kill(pid, signal.SIGKILL)
    until(lambda: monitor_pid(gateway) != pid, 15, "there is another monitor")
    seen = version(gateway)["streams"][0]["windows"]
    until(lambda: has_windows(gateway, seen + 2), 15, "windows go on")
    traffic.close()
    assert traffic.statuses == {200}
    assert version(gateway)["first_us"] == first_us


def monitor_pid(gateway: Gateway) -> int:
    """The process id of the monitor."""
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = status.read_bytes().split(b"\0")
        except OSError:
            continue
        is_monitor = any(b"gateway.monitor.process" in word for word in words)
        if is_monitor and str(gateway.root).encode() in b" ".join(words):
            return int(status.parent.name)
    return 0


@pytest.mark.alone
def test_a_window_is_visible_within_two_seconds(gateway: Gateway) -> None:
    """Two seconds after a window ends at most, its evidence is in the API and its rows in the metrics."""
    traffic = Traffic(gateway)
    until(lambda: has_windows(gateway, 1), 15, "windows are complete")
    delays = []
    for _ in range(5):
        last = version(gateway)["streams"][0]["start_us"]
        until(lambda: version(gateway)["streams"][0]["start_us"] > last, 10, "another window")  # noqa: B023
        ended_us = version(gateway)["streams"][0]["start_us"] + WINDOW_US
        delays.append(time.time() - ended_us / 1e6)
        counted_s = took_s(
            lambda: metric(gateway, "driftgate_window_start_timestamp_seconds") * 1e6 >= ended_us - WINDOW_US,  # noqa: B023
            SEEN_WITHIN_S,
            "the metrics",
        )
        assert counted_s <= SEEN_WITHIN_S
    traffic.close()
    assert sorted(delays)[2] <= SEEN_WITHIN_S
