"""One loaded version as the data plane uses it: everything looked up once, when it is loaded."""

from driftgate.gateway.counters import VersionCounters
from driftgate.gateway.model_view import ModelView
from driftgate.models.loaded import LoadedVersion
from driftgate.models.settings import ModelSettings

CALL_LIMIT_S = 0.02
MAX_ROWS_PER_CALL = 16_384


class ServedVersion:
    """A loaded version with its codec view, counters and beat name; `settings` are put in with each table.

    `batchable` says that rows of several requests may share a call, and that a request may be cut into calls;
    `rows_per_call` keeps one call of such a version near CALL_LIMIT_S.
    """

    __slots__ = ("batchable", "beat_name", "counters", "loaded", "rows_per_call", "settings", "view")

    def __init__(self, loaded: LoadedVersion, counters: VersionCounters) -> None:
        self.loaded = loaded
        self.counters = counters
        self.settings = ModelSettings()
        self.view = ModelView.of(loaded.manifest)
        self.beat_name = f"{loaded.model}/{loaded.version}".encode()
        signature = loaded.signature
        fixed_rows = all(spec.row_size >= 0 for spec in signature.inputs)
        self.batchable = loaded.manifest.independent_rows and signature.batched and fixed_rows
        affordable = (CALL_LIMIT_S - loaded.cost.fixed_s) / max(loaded.cost.per_row_s, 1e-9)
        self.rows_per_call = min(MAX_ROWS_PER_CALL, max(1, int(affordable)))

    def seconds(self, rows: int) -> float:
        """Predicted time of one call with `rows` rows."""
        return self.loaded.cost.seconds(rows)
