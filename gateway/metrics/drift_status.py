"""Reads what the monitor last said of drift."""

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.drift.status import DriftStatus


def read_drift_status(layout: StateLayout) -> DriftStatus | None:
    """Return what the monitor last said of drift, or None if that is nothing readable."""
    try:
        return msgspec.json.decode(layout.monitor_drift.read_bytes(), type=DriftStatus)
    except (OSError, msgspec.MsgspecError):
        return None
