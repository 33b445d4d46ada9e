"""What `/metrics` says of the prediction log and of the monitor that reads it."""

from collections import Counter
from collections.abc import Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.slots import slot_numbers
from driftgate.monitoring.book.follower_status import FollowerStatus
from driftgate.monitoring.log.counts import DROPPED, read_log_counts


def log_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield what the slots' logs wrote and lost, added up, and how far the monitor is."""
    counts: Counter[str] = Counter()
    for number in slot_numbers(layout):
        counts.update(read_log_counts(layout.log_counts(number)))
    yield from _written(counts)
    status = read_monitor_status(layout)
    if status is not None:
        yield from _monitor(status)


def read_monitor_status(layout: StateLayout) -> FollowerStatus | None:
    """Return what the monitor last said of itself, or None if that is nothing readable."""
    try:
        return msgspec.json.decode(layout.monitor_status.read_bytes(), type=FollowerStatus)
    except (OSError, msgspec.MsgspecError):
        return None


def _written(counts: Counter[str]) -> Iterator[Metric]:
    for name, help_text, cell in (
        ("driftgate_log_rows", "Records written to the prediction log.", "written_rows"),
        ("driftgate_log_bytes", "Bytes written to the prediction log.", "written_bytes"),
        ("driftgate_log_refused_rows", "Records refused with their requests.", "refused_rows"),
        ("driftgate_log_failed_writes", "Writes of the prediction log that failed.", "failed_writes"),
    ):
        yield CounterMetricFamily(name, help_text, value=counts[cell])
    dropped = CounterMetricFamily(
        "driftgate_log_dropped_rows", "Records that were lost, by reason.", labels=["reason"]
    )
    for reason, cell in DROPPED.items():
        dropped.add_metric([reason], counts[cell])
    yield dropped
    yield GaugeMetricFamily(
        "driftgate_log_buffered_rows",
        "Records that the last flush took from the buffer.",
        value=counts["buffered_rows"],
    )


def _monitor(status: FollowerStatus) -> Iterator[Metric]:
    for name, help_text, total in (
        ("driftgate_monitor_rows", "Records read, counted and archived.", status.rows),
        (
            "driftgate_monitor_late_rows",
            "Records that came after their minute was complete.",
            status.late_rows,
        ),
        ("driftgate_monitor_lost_frames", "Frames missing from prediction logs.", status.lost_frames),
        (
            "driftgate_monitor_damaged_bytes",
            "Bytes of prediction logs that are damaged.",
            status.damaged_bytes,
        ),
        ("driftgate_monitor_unarchived_rows", "Records counted, not archived.", status.unarchived_rows),
        (
            "driftgate_monitor_failed_checkpoints",
            "Times that archive or monitor.db could not be written.",
            status.archive_failures,
        ),
        ("driftgate_monitor_rebuilds", "Times that a damaged monitor.db was made anew.", status.rebuilds),
    ):
        yield CounterMetricFamily(name, help_text, value=total)
    for name, help_text, value in (
        (
            "driftgate_monitor_lag_seconds",
            "Age of the time up to which all logs have been read.",
            status.lag_s,
        ),
        (
            "driftgate_monitor_unwritten_seconds",
            "For how long archive or monitor.db could not be written; 0 while they can.",
            status.unwritten_s,
        ),
        ("driftgate_monitor_backlog_bytes", "Bytes of logs that have not been read.", status.backlog_bytes),
        ("driftgate_monitor_rows_per_second", "Records read per second lately.", status.rows_per_s),
        ("driftgate_monitor_status_timestamp_seconds", "When the monitor said this.", status.at_us / 1e6),
        ("driftgate_archive_files", "Files in the archive.", status.archive_files),
        ("driftgate_archive_bytes", "Size of the archive.", status.archive_bytes),
    ):
        yield GaugeMetricFamily(name, help_text, value=value)
