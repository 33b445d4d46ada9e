"""One loaded version as the data plane uses it: everything looked up once, when it is loaded."""

from typing import NamedTuple

from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.serving.recording import recorded_version
from driftgate.gateway.state.counters import VersionCounters
from driftgate.gateway.wire.model_view import ModelView
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.run.loaded import LoadedVersion

CALL_LIMIT_S = 0.02
MAX_ROWS_PER_CALL = 16_384
PACE_WEIGHT = 0.05
MOST_RATIO = 10.0
"""One call that was interrupted says little about the next; a few slow ones in a row do."""
LEAST_S = 20e-6
"""Shorter calls are mostly their own overhead and say nothing about the model."""


class Shadowing(NamedTuple):
    """A version that gets a copy of the rows of another one, and of which share of the calls."""

    served: "ServedVersion"
    share_ppm: int


class ServedVersion:
    """A loaded version with its codec view, counters and beat name.

    `settings` and `shadows` come with each table. `rows_waiting` are those that one more request has to wait
    for: of each request in flight at most `rows_at_once`, since a longer one takes turns with the others.

    `features` is how stored features complete its rows; None where clients send all of them.

    `batchable` says that rows of several requests may share a call, and that a request may be cut into calls.
    """

    __slots__ = (
        "_pace",
        "batchable",
        "beat_name",
        "counters",
        "features",
        "loaded",
        "recorded",
        "rows_at_once",
        "rows_waiting",
        "settings",
        "shadows",
        "view",
    )

    def __init__(
        self, loaded: LoadedVersion, counters: VersionCounters, features: FeaturePlan | None = None
    ) -> None:
        self.loaded = loaded
        self.counters = counters
        self.features = features
        self.settings = ModelSettings()
        self.shadows: tuple[Shadowing, ...] = ()
        self.recorded = recorded_version(loaded.manifest, self.settings.log)
        self.view = ModelView.of(loaded.manifest)
        self.beat_name = f"{loaded.model}/{loaded.version}".encode()
        signature = loaded.signature
        fixed_rows = all(spec.row_size >= 0 for spec in signature.inputs)
        self.batchable = loaded.manifest.independent_rows and signature.batched and fixed_rows
        self._pace = 1.0
        self.rows_at_once = self.rows_per_call
        self.rows_waiting = 0

    def apply(self, settings: ModelSettings) -> None:
        """Follow the model's settings from now on."""
        if settings != self.settings:
            self.settings = settings
            self.recorded = recorded_version(self.loaded.manifest, settings.log)

    @property
    def rows_per_call(self) -> int:
        """Rows of one call that keep it near CALL_LIMIT_S."""
        cost = self.loaded.cost
        affordable = (CALL_LIMIT_S / self._pace - cost.fixed_s) / max(cost.per_row_s, 1e-9)
        return min(MAX_ROWS_PER_CALL, max(1, int(affordable)))

    def seconds(self, rows: int) -> float:
        """Predicted time of one call with `rows` rows: as measured when loading, at today's pace."""
        return self.loaded.cost.seconds(rows) * self._pace

    @property
    def wait_s(self) -> float:
        """Predicted time that one more request would wait for those in flight."""
        cost = self.loaded.cost
        calls = 1 if self.batchable else self.loaded.in_use
        return (calls * cost.fixed_s + self.rows_waiting * cost.per_row_s) * self._pace

    def observe(self, rows: int, took_s: float) -> None:
        """Learn from a call how much slower or faster they are now than when the version was loaded."""
        expected_s = self.loaded.cost.seconds(rows)
        if expected_s >= LEAST_S:
            self._pace += PACE_WEIGHT * (min(took_s / expected_s, MOST_RATIO) - self._pace)
