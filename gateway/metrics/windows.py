"""What `/metrics` says of windows: rows, age, references, and the rates of bad data with their evidence.

Series are bounded: by arms that have windows, and by the rates that the monitor tells of each.
"""

from collections.abc import Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.windows.window_status import WindowStatus

MOST_RATES = 2000
"""Of all models together."""
_ARM = ("model", "version", "arm")
_RATE = (*_ARM, "feature", "reason")


def window_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield what the monitor last said of its windows."""
    status = read_window_status(layout)
    if status is None:
        return
    yield GaugeMetricFamily(
        "driftgate_window_sealed_timestamp_seconds", "End of the last sealed window.", status.sealed_us / 1e6
    )
    yield GaugeMetricFamily("driftgate_window_open", "Windows that are still open.", status.open_panes)
    yield GaugeMetricFamily(
        "driftgate_window_unsaved", "Sealed windows that are not saved yet.", status.unsaved_panes
    )
    yield CounterMetricFamily(
        "driftgate_window_late_rows", "Rows that came when their window was sealed.", status.late_rows
    )
    yield CounterMetricFamily(
        "driftgate_window_lost_rows", "Rows that could not be counted in windows.", status.lost_rows
    )
    yield from _of_arms(status)
    yield from _of_rates(status)


def read_window_status(layout: StateLayout) -> WindowStatus | None:
    """Return what the monitor last said of its windows, or None if that is nothing readable."""
    try:
        return msgspec.json.decode(layout.monitor_windows.read_bytes(), type=WindowStatus)
    except (OSError, msgspec.MsgspecError):
        return None


def _of_arms(status: WindowStatus) -> Iterator[Metric]:
    rows = GaugeMetricFamily("driftgate_window_rows", "Rows of the last sealed window.", labels=_ARM)
    start = GaugeMetricFamily(
        "driftgate_window_start_timestamp_seconds",
        "When the last sealed window began.",
        labels=_ARM,
    )
    reference = GaugeMetricFamily(
        "driftgate_reference_rows", "Rows of the reference that windows are counted with.", labels=_ARM
    )
    for one in status.figures:
        labels = (one.model, str(one.version), one.arm)
        rows.add_metric(labels, one.rows)
        start.add_metric(labels, one.start_us / 1e6)
        reference.add_metric(labels, one.reference_rows)
    yield from (rows, start, reference)


def _of_rates(status: WindowStatus) -> Iterator[Metric]:
    ratio = GaugeMetricFamily(
        "driftgate_quality_ratio", "Share of bad data in the last sealed window, where not 0.", labels=_RATE
    )
    evidence = GaugeMetricFamily(
        "driftgate_quality_log10_evalue", "Evidence that there is more bad data than before.", labels=_RATE
    )
    rates = [(arm, rate) for arm in status.figures for rate in arm.quality]
    rates.sort(key=lambda pair: -pair[1].log10_evidence)
    for arm, rate in rates[:MOST_RATES]:
        labels = (arm.model, str(arm.version), arm.arm, rate.feature, rate.reason)
        ratio.add_metric(labels, rate.hits / max(1, rate.rows))
        evidence.add_metric(labels, rate.log10_evidence)
    yield from (ratio, evidence)
