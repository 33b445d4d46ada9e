"""From requests to windows, in a real gateway."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LinearRegression

import driftgate
from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.monitor_db import MonitorDb
from driftgate.monitoring.pane_tables import StoredPane

from harness.gateway import Gateway, until


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


def windows(root: Path) -> list[StoredPane]:
    """The windows of the model once they have all its rows."""
    try:
        db = MonitorDb(StateLayout(root / "state").monitor_db, read_only=True)
    except FileNotFoundError:
        return []
    shown = db.panes("pay", 0, 2**62)
    db.close()
    return shown if sum(one.pane.rows for one in shown) == 3 else []
