"""What `/metrics` says of alerts: open ones by state, silences, and how receivers fare.

Series are bounded: by models and rules that have open alerts, and by the receivers of the settings.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.alerts.alert import Severity, State
from driftgate.monitoring.alerts.status import AlertStatus, ReceiverFigure

MOST_MODELS = 500


def alert_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield what the monitor last said of alerts."""
    status = read_alert_status(layout)
    if status is not None:
        yield from _of_alerts(status)
        yield from _of_silences(status)
        yield from _of_receivers(status.receivers)
        yield CounterMetricFamily(
            "driftgate_alert_unrouted", "Notifications that no receiver takes.", value=status.unrouted
        )
        yield GaugeMetricFamily(
            "driftgate_alert_unknown_receivers",
            "Receivers that a model.toml names and that there are not.",
            value=len(status.unknown_receivers),
        )


def read_alert_status(layout: StateLayout) -> AlertStatus | None:
    """Return what the monitor last said of alerts, or None if that is nothing readable."""
    try:
        return msgspec.json.decode(layout.monitor_alerts.read_bytes(), type=AlertStatus)
    except (OSError, msgspec.MsgspecError):
        return None


def _of_alerts(status: AlertStatus) -> Iterator[Metric]:
    alerts = GaugeMetricFamily(
        "driftgate_alerts", "Open alerts.", labels=("model", "rule", "severity", "state")
    )
    total = GaugeMetricFamily(
        "driftgate_alerts_open", "Open alerts of all models.", labels=("severity", "state")
    )
    models = sorted({one.model for one in status.alerts})[:MOST_MODELS]
    counts: Counter[tuple[str, str]] = Counter()
    for one in status.alerts:
        counts[one.severity, one.state] += one.count
        if one.model in models:
            alerts.add_metric([one.model, one.rule, one.severity, one.state], one.count)
    for severity in Severity:
        for state in (State.FIRING, State.ACKNOWLEDGED, State.SILENCED):
            total.add_metric([severity, state], counts[severity, state])
    yield from (alerts, total)


def _of_silences(status: AlertStatus) -> Iterator[Metric]:
    silences = GaugeMetricFamily("driftgate_alert_silences", "Silences in force.", labels=("model",))
    until = GaugeMetricFamily(
        "driftgate_alert_silenced_until_timestamp_seconds", "End of the last silence.", labels=("model",)
    )
    for one in status.silences[:MOST_MODELS]:
        silences.add_metric([one.model], one.count)
        until.add_metric([one.model], one.until_us / 1e6)
    yield from (silences, until)


def _of_receivers(receivers: tuple[ReceiverFigure, ...]) -> Iterator[Metric]:
    results = CounterMetricFamily(
        "driftgate_alert_notifications",
        "What became of notifications: sent, attempts that failed, dropped.",
        labels=("receiver", "result"),
    )
    failing = GaugeMetricFamily(
        "driftgate_alert_receiver_failing",
        "1 if the last attempt to tell a receiver failed.",
        labels=("receiver",),
    )
    waiting = GaugeMetricFamily(
        "driftgate_alert_notifications_waiting", "Notifications that wait.", labels=("receiver",)
    )
    for one in receivers:
        for result, count in (("sent", one.sent), ("failed", one.failed), ("dropped", one.dropped)):
            results.add_metric([one.name, result], count)
        failing.add_metric([one.name], one.failing)
        waiting.add_metric([one.name], one.waiting)
    yield from (results, failing, waiting)
