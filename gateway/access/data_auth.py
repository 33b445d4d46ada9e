"""What one worker knows of tokens: the guards of its routes and predictions, kept up to date."""

import time

from driftgate.gateway.access.auth import auth_mode
from driftgate.gateway.access.guards import Guard, PredictGuard
from driftgate.gateway.access.quotas import Quotas
from driftgate.gateway.access.refusals import RefusalReport
from driftgate.gateway.access.token_store import TokenWatch
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.settings import Settings

REPORT_EVERY_S = 1.0


class DataAuth:
    """The guards of one worker: `routes`, and `predictions`, which is None where nobody needs a token."""

    def __init__(self, settings: Settings, layout: StateLayout, slot: int, logger: Logger) -> None:
        mode = auth_mode(settings)
        demanded = mode == "all"
        reporting = demanded and settings.auth.report_only
        self._report = RefusalReport(layout.refusals(slot), time.time) if reporting else None
        self._watch = None if mode == "off" else TokenWatch(layout.tokens, logger)
        self._report_at = 0.0
        self.routes = Guard(self._watch, demanded, self._report)
        self.predictions: PredictGuard | None = None
        if self._watch is not None:
            self._watch.refresh()
            self.predictions = PredictGuard(self._watch, Quotas(layout.quotas), demanded, self._report)

    def follow(self, now: float) -> None:
        """Take up changed tokens and write the report; `now` is monotonic seconds. Raises OSError."""
        if self._watch is not None:
            self._watch.look(now)
        if self._report is not None and now >= self._report_at:
            self._report_at = now + REPORT_EVERY_S
            self._report.write()
