"""Whether a prediction is taken on at all: decided before it is parsed, by what its model has still to do.

A queue that is longer than clients wait helps nobody: under overload every answer would come too late. So
what would wait for too long is refused at once, and cheaply, and what is taken on is answered in time.
"""

import time
from asyncio import get_running_loop

import msgspec

from driftgate.gateway.http.headers import RequestHeaders
from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.endpoints import Endpoint
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.serving.turn import Turns

SHORT_QUEUE = 16
"""So many requests of a version may always wait: a burst is no overload, however slow the model."""

REPORT_EVERY_S = 1.0
STATUS = 503
BUSY = "the model has more to do than it can answer in time; try again shortly"
FIELDS = b"content-type: application/json\r\nretry-after: 1\r\nx-shed-reason: queue\r\n"
BODY = msgspec.json.encode({"error": BUSY})


class Admission:
    """Admits the predictions of one worker; for the event loop's thread alone.

    `lanes` are those of the worker's versions that compute beside the loop: without any, nothing ever waits
    but for the loop, and nothing needs to be asked.
    """

    def __init__(self, turns: Turns, max_wait_s: float, logger: Logger) -> None:
        self.lanes = turns.lanes
        self._max_wait_s = max_wait_s
        self._logger = logger
        self._refused: dict[str, int] = {}

    def refuses(self, endpoint: Endpoint, headers: RequestHeaders) -> bool:
        """Return whether to refuse a request unread; it is counted then, and reported now and then."""
        route = endpoint.route
        target = route.explicit(endpoint.version) if endpoint.version else route.entry
        if target is None or not self.is_full(target.version, headers):
            return False
        target.version.counters.answered(STATUS, 0, 0, 0)
        if not self._refused:
            get_running_loop().call_later(REPORT_EVERY_S, self._report)
        self._refused[route.name] = self._refused.get(route.name, 0) + 1
        return True

    def is_full(self, served: ServedVersion, headers: RequestHeaders) -> bool:
        """Return whether one more request of this version would wait for too long, or past its deadline.

        Calls may take longer than predicted: then those before have waited for too long already.
        """
        lane = self.lanes.get(served)
        if lane is None or not lane.busy or served.loaded.in_use < SHORT_QUEUE:
            return False
        most_s = self._max_wait_s
        if headers.timeout_ms is not None:
            most_s = min(most_s, headers.timeout_ms / 1000)
        return served.wait_s > most_s or lane.waited_s(time.perf_counter_ns()) > most_s

    def _report(self) -> None:
        for model, count in self._refused.items():
            self._logger.warning("requests_shed", model=model, count=count, reason="queue")
        self._refused.clear()
