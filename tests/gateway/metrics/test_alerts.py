"""Alerts as metrics: bounded series, and nothing where nothing can be read."""

from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.alerts import MOST_MODELS
from driftgate.gateway.metrics.exposition import render
from driftgate.monitoring.alerts.alert import Rule, Severity, State
from driftgate.monitoring.alerts.status import AlertFigure, AlertStatus, ReceiverFigure


def test_series_are_bounded(tmp_path: Path) -> None:
    """However many models have alerts, their series are bounded and the totals are true."""
    layout = StateLayout(tmp_path)
    figures = tuple(
        AlertFigure(f"m{number:05}", Rule.DRIFT, Severity.TICKET, State.FIRING, 2) for number in range(5000)
    )
    layout.monitor_alerts.write_bytes(msgspec.json.encode(AlertStatus(alerts=figures)))
    lines = render(layout).decode().splitlines()
    assert sum(line.startswith("driftgate_alerts{") for line in lines) == MOST_MODELS
    assert 'driftgate_alerts_open{severity="ticket",state="firing"} 10000.0' in lines
    assert 'driftgate_alerts_open{severity="page",state="firing"} 0.0' in lines


def test_receivers_are_told_of(tmp_path: Path) -> None:
    """A receiver that fails is a metric."""
    layout = StateLayout(tmp_path)
    figure = ReceiverFigure("oncall", sent=3, failed=2, dropped=1, waiting=4, failing=True)
    layout.monitor_alerts.write_bytes(msgspec.json.encode(AlertStatus(receivers=(figure,), unrouted=5)))
    said = render(layout).decode()
    assert 'driftgate_alert_receiver_failing{receiver="oncall"} 1.0' in said
    assert 'driftgate_alert_notifications_total{receiver="oncall",result="failed"} 2.0' in said
    assert 'driftgate_alert_notifications_waiting{receiver="oncall"} 4.0' in said
    assert "driftgate_alert_unrouted_total 5.0" in said


def test_a_damaged_status_costs_no_other_metric(tmp_path: Path) -> None:
    """What cannot be read says nothing of alerts."""
    layout = StateLayout(tmp_path)
    layout.monitor_alerts.write_bytes(b"{")
    said = render(layout)
    assert b"driftgate_alerts" not in said
    assert b"driftgate_unreadable_counter_files" in said
