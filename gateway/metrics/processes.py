"""What `/metrics` says of the gateway itself: processes, disk, and what control sees of the registry."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.control_status import ControlStatus, read_control_status
from driftgate.gateway.state.crashes import read_crashes

FRESH_S = 30.0
"""As long as the supervisor waits for the loops of control and monitor."""


def process_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield what files say of processes, disk and registry."""
    yield _processes(layout, time.monotonic_ns())
    crashes = read_crashes(layout.crashes)
    yield GaugeMetricFamily(
        "driftgate_worker_last_crash_timestamp_seconds",
        "When a worker last ended without being asked to; 0: never.",
        max((crash.at for crash in crashes), default=0),
    )
    yield from _disk(layout.root)
    status = read_control_status(layout.control_status)
    if status is not None:
        yield from control_metrics(status)


def control_metrics(status: ControlStatus) -> Iterator[Metric]:
    """Yield what control sees: the registry, refused versions, and the age of what serves."""
    yield GaugeMetricFamily(
        "driftgate_registry_readable", "0 while the registry cannot be read.", not status.registry_problem
    )
    labels = ("model", "version")
    refused = GaugeMetricFamily(
        "driftgate_version_refused", "1 for a published version that is not served.", labels=labels
    )
    for one in status.refused:
        refused.add_metric((one.model, str(one.version)), 1)
    created = GaugeMetricFamily(
        "driftgate_model_created_timestamp_seconds", "When a version with traffic was made.", labels=labels
    )
    for served in status.served:
        if served.created_s:
            created.add_metric((served.model, str(served.version)), served.created_s)
    limit = GaugeMetricFamily(
        "driftgate_model_max_age_seconds", "How old a model's versions may be.", labels=("model",)
    )
    for model, seconds in status.max_age_s.items():
        limit.add_metric((model,), seconds)
    yield from (refused, created, limit)


def _processes(layout: StateLayout, now_ns: int) -> Metric:
    up = GaugeMetricFamily("driftgate_process_up", "1 while the process turns its loop.", labels=("process",))
    beats = {
        "control": layout.control_beat,
        "monitor": layout.monitor_beat,
        "features": layout.feature_writer_beat,
    }
    for name, path in beats.items():
        beat = read_beat(path)
        if beat is not None:
            up.add_metric((name,), beat.state is not BeatState.DEAD and beat.is_fresh(now_ns, FRESH_S))
    return up


def _disk(root: Path) -> Iterator[Metric]:
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return
    yield GaugeMetricFamily("driftgate_disk_free_bytes", "Free where the state directory is.", usage.free)
    yield GaugeMetricFamily("driftgate_disk_bytes", "Size of the disk of the state directory.", usage.total)
