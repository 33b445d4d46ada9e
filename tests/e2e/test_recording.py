"""Predictions are recorded: all of them, as they were, and as safely as the mode promises."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from driftgate.gateway.state.beat import read_beat
from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until

Start = Callable[..., Gateway]
Publish = Callable[..., Published]


def records(gateway: Gateway, *options: str) -> list[dict[str, Any]]:
    """What `driftgate log query` finds."""
    command = [sys.executable, "-m", "driftgate.gateway.cli.main", "log", "query", "--json"]
    state = ["--state", str(gateway.layout.root), "--limit", "100000"]
    found = subprocess.run([*command, *state, *options], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in found.stdout.splitlines()]


def metric(gateway: Gateway, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = httpx.get(f"{gateway.ports.metrics}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def ask_many(gateway: Gateway, requests: int, clients: int = 8) -> list[httpx.Response]:
    """Send requests with one row each from several clients; the first value tells them apart."""

    def client(number: int) -> list[httpx.Response]:
        return [
            gateway.infer("m", [[float(n), 0, 0, 0]], **{"x-routing-key": f"user-{n}"})
            for n in range(number, requests, clients)
        ]

    with ThreadPoolExecutor(clients) as pool:
        return [answer for answers in pool.map(client, range(clients)) for answer in answers]


def test_every_prediction_is_recorded_as_it_was(start_gateway: Start, publish_version: Publish) -> None:
    """The log has each request once, with inputs, outputs, arm, version and code, refusals included."""
    publish_version("m", scale=2.0)
    gateway = start_gateway(workers=2)
    answers = ask_many(gateway, 200)
    refused = gateway.client.post(f"{gateway.ports.data}/v2/models/m/infer", content=b"{}")
    expected = {answer.headers["x-prediction-id"]: answer for answer in answers}
    until(lambda: metric(gateway, "driftgate_log_rows_total") >= 201, 5, "all records are written")
    found = records(gateway)
    assert len(found) == 201
    for record in found:
        if record["code"] == 400:
            assert record["prediction_id"] == refused.headers["x-prediction-id"]
            continue
        answer = expected.pop(record["prediction_id"])
        assert record["y"] == answer.json()["outputs"][0]["data"][0] == 2 * record["f0"]
        assert (record["model"], record["version"], record["arm"], record["code"]) == ("m", 1, "stable", 200)
        assert record["propensity"] == 1.0
        assert record["infer_ns"] > 0
    assert not expected


def test_what_was_answered_in_mode_written_survives_a_kill(
    start_gateway: Start, publish_version: Publish
) -> None:
    """A worker is killed in full flight: every prediction that a client got an answer for is in the log."""
    publish_version("m")
    gateway = start_gateway(environment={"DRIFTGATE__LOG__MODE": "written"})
    answered: list[str] = []

    def client(number: int) -> None:
        with httpx.Client(timeout=5) as session:
            for _ in range(2000):
                try:
                    answer = session.post(
                        f"{gateway.ports.data}/v2/models/m/predict",
                        json={"rows": [{"f0": number, "f1": 1, "f2": 2, "f3": 3}]},
                    )
                except httpx.TransportError:
                    return
                answered.append(answer.headers["x-prediction-id"])

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, number) for number in range(4)]
        until(lambda: len(answered) > 300, 20, "the clients are at work")
        os.kill(gateway.statuses()[0].pid, signal.SIGKILL)
        for one in clients:
            one.result()
    recorded = {record["prediction_id"] for record in records(gateway)}
    assert not set(answered) - recorded


def test_audit_refuses_what_it_cannot_record(start_gateway: Start, publish_version: Publish) -> None:
    """With a full log and `when_full = refuse` requests get 503, and no answer goes unrecorded."""
    publish_version("m")
    full = {"DRIFTGATE__LOG__WHEN_FULL": "refuse", "DRIFTGATE__LOG__QUOTA_BYTES": "40000"}
    gateway = start_gateway(environment={**full, "DRIFTGATE__LOG__MODE": "written"})
    gateway.wait_version("m", 1)
    monitor = _monitor_pid(gateway)
    os.kill(monitor, signal.SIGSTOP)  # nothing is archived, so nothing makes room
    answers = ask_many(gateway, 1500, clients=4)
    os.kill(monitor, signal.SIGCONT)
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503}
    shed = next(answer for answer in answers if answer.status_code == 503)
    assert (shed.headers["x-shed-reason"], shed.headers["retry-after"]) == ("log", "1")
    recorded = {record["prediction_id"] for record in records(gateway, "--code", "200")}
    answered = {answer.headers["x-prediction-id"] for answer in answers if answer.status_code == 200}
    assert answered <= recorded


def test_a_full_log_drops_and_counts_exactly(start_gateway: Start, publish_version: Publish) -> None:
    """By default a full log never fails a prediction, and rows written and dropped add up to all of them."""
    publish_version("m")
    gateway = start_gateway(environment={"DRIFTGATE__LOG__QUOTA_BYTES": "40000"})
    monitor = _monitor_pid(gateway)
    os.kill(monitor, signal.SIGSTOP)
    answers = ask_many(gateway, 1500, clients=4)
    os.kill(monitor, signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {200}

    def accounted() -> float:
        written = metric(gateway, "driftgate_log_rows_total")
        return written + metric(gateway, "driftgate_log_dropped_rows_total")

    until(lambda: accounted() == 1500, 5, "every row is written or counted as dropped")
    assert metric(gateway, "driftgate_log_dropped_rows_total") > 0


def _monitor_pid(gateway: Gateway) -> int:
    beat = read_beat(gateway.layout.monitor_beat)
    assert beat is not None
    return beat.pid
