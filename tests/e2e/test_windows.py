"""From requests to windows, in a real gateway."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LinearRegression

import driftgate
from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.pane_tables import StoredPane

from harness.gateway import Gateway, until
from harness.models import linear_model, publish_model


def test_requests_are_seen_in_the_open_window(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    """Seconds after an answer its row is in a window, in the cells that the version was published with."""
    frame = pd.DataFrame({"age": [float(age) for age in range(100)], "income": [1.0, 2.0] * 50})
    model = LinearRegression().fit(frame, frame["age"] * 2)
    driftgate.publish(model, name="pay", registry=tmp_path / "registry", examples=frame)
    gateway = start_gateway()
    for age in (10.0, 20.0, 1000.0):
        body = {"rows": [{"age": age, "income": 1.0}]}
        answer = gateway.client.post(f"{gateway.ports.data}/v2/models/pay/predict", json=body)
        assert answer.status_code == 200
    until(lambda: windows(tmp_path), 5, "the rows are in a window")
    shown = windows(tmp_path)
    assert sum(one.pane.rows for one in shown) == 3
    assert {one.key.arm for one in shown} == {"stable"}


def test_a_reference_is_made_of_traffic_on_demand(
    tmp_path: Path, start_gateway: Callable[..., Gateway]
) -> None:
    """A rebaseline gives a reference of the recorded rows, stands in the journal and keeps the old one."""
    publish_model(linear_model(2.0), tmp_path / "registry")
    gateway = start_gateway()
    for number in range(20):
        assert gateway.infer("m", [[float(number), 1.0, 2.0, 3.0]]).status_code == 200
    until(lambda: sources(gateway) == ["none"], 5, "the version is watched without a reference")
    now_us = time.time_ns() // 1000
    body = {"version": 1, "first_us": now_us - 600_000_000, "end_us": now_us + 60_000_000}
    answer = gateway.admin("POST", "/api/models/m/references", body)
    assert answer.status_code == 200, answer.text
    until(lambda: sources(gateway) == ["none", "traffic"], 10, "the reference is made")
    newest = gateway.admin("GET", "/api/models/m/references").json()["references"][-1]
    assert newest["rows"] == 20
    assert newest["features"][0]["moments"]["max"] == 19.0
    kinds = [event["kind"] for event in gateway.admin("GET", "/api/events").json()["events"]]
    assert "rebaseline" in kinds
    refused = gateway.admin("POST", "/api/models/m/references", body | {"version": 7})
    assert refused.status_code == 409


def sources(gateway: Gateway) -> list[str]:
    """Where the references of model `m` are from, in order."""
    answer = gateway.admin("GET", "/api/models/m/references").json()
    return [one["source"] for one in answer["references"]]


def windows(root: Path) -> list[StoredPane]:
    """The windows of the model once they have all its rows."""
    try:
        db = MonitorDb(StateLayout(root / "state").monitor_db, read_only=True)
    except FileNotFoundError:
        return []
    shown = db.panes("pay", 0, 2**62)
    db.close()
    return shown if sum(one.pane.rows for one in shown) == 3 else []
