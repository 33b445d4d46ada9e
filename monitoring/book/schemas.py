"""The tables of `monitor.db`, by the format that they came with."""

from driftgate.monitoring.book.alert_tables import SCHEMA as ALERTS
from driftgate.monitoring.book.archive_tables import SCHEMA as ARCHIVE
from driftgate.monitoring.book.drift_tables import SCHEMA as DRIFT
from driftgate.monitoring.book.hour_tables import SCHEMA as HOURS
from driftgate.monitoring.book.pane_tables import SCHEMA as PANES
from driftgate.monitoring.book.progress_tables import SCHEMA as PROGRESS

FORMAT = 5
SCHEMAS = ((1, PROGRESS + ARCHIVE), (2, PANES), (3, ALERTS), (4, DRIFT), (5, HOURS))
