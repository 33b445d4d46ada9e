"""How soon people see what was predicted: in the open window, and in one that is complete."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from driftgate.models.publish.onnx_file import publish_file
from driftgate.monitoring.book.monitor_db import MonitorDb

from harness.gateway import Gateway, took_s, until
from harness.models import linear_model

WINDOW_S = 2
PROMISED_S = 2.0


@pytest.fixture
def gateway(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with short windows, whose model has been asked once."""
    source = tmp_path / "m.onnx"
    source.write_bytes(linear_model(2.0).SerializeToString())
    publish_file(source, name="m", registry=tmp_path / "registry")
    found = start_gateway(environment={"DRIFTGATE__MONITOR__WINDOW_S": str(WINDOW_S)})
    ask(found)
    until(lambda: complete_until_s(found), 20, "the model is watched")
    return found


def ask(gateway: Gateway) -> None:
    """Get a prediction."""
    assert gateway.infer("m", [[1.0, 1.0, 2.0, 3.0]]).status_code == 200


def open_rows(gateway: Gateway, start_s: int) -> int:
    """Rows of the window that began then, as the book shows them to whoever asks about a feature."""
    if not gateway.layout.monitor_db.exists():
        return 0
    with closing(MonitorDb(gateway.layout.monitor_db, read_only=True)) as db:
        first_us = start_s * 10**6
        return sum(pane.rows for _, pane in db.pane_counts("m", first_us, first_us + WINDOW_S * 10**6))


def told_rows(gateway: Gateway, start_s: int) -> int:
    """Rows of a complete window, as the admin API tells them."""
    answer = gateway.admin("GET", "/api/models/m/history")
    arms = answer.json().get("arms", []) if answer.status_code == 200 else []
    each = (pair for arm in arms for pair in zip(arm["start_us"], arm["rows"], strict=True))
    return sum(rows for start_us, rows in each if start_us == start_s * 10**6)


def complete_until_s(gateway: Gateway) -> float:
    """When the last complete window of the model with rows ended, as the metrics tell it; 0 without one."""
    text = httpx.get(f"{gateway.ports.metrics}/metrics").text
    found = re.search(r'^driftgate_window_start_timestamp_seconds\{.*model="m".*\} (\S+)$', text, re.M)
    return float(found[1]) + WINDOW_S if found else 0.0


@pytest.mark.alone
def test_windows_are_seen_within_two_seconds(gateway: Gateway) -> None:
    """A row is in its open window within two seconds, and its window in API and metrics after its end."""
    time.sleep(WINDOW_S - time.time() % WINDOW_S)  # the beginning of a window
    start_s = int(time.time()) // WINDOW_S * WINDOW_S
    ask(gateway)
    open_s = took_s(lambda: open_rows(gateway, start_s), 20, "the row is in the open window")
    until(lambda: complete_until_s(gateway) >= start_s + WINDOW_S, 20, "metrics tell that it is complete")
    until(lambda: told_rows(gateway, start_s), 20, "so does the API")
    after_s = time.time() - (start_s + WINDOW_S)
    print(f"open window after {open_s:.2f} s, complete one {after_s:.2f} s after its end")
    assert open_s <= PROMISED_S
    assert after_s <= PROMISED_S
