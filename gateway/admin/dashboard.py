"""The admin API's part for the dashboard: what its pages ask for beside the rest of the API."""

import asyncio
import time
from collections import Counter

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.guards import may_see
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.timeline import moment_of
from driftgate.gateway.control.model_report import model_names, report_model
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.dashboard.drift_words import drift_words
from driftgate.gateway.dashboard.monitor_reader import monitor_book, read_drift_status
from driftgate.gateway.dashboard.overview import GatewayOverview, OverviewAnswer, Seen, overview_of
from driftgate.gateway.dashboard.traffic_meter import TrafficMeter
from driftgate.gateway.errors import BadRequest
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.logs import read_monitor_status
from driftgate.gateway.metrics.windows import read_window_status
from driftgate.gateway.state.slots import slot_numbers
from driftgate.gateway.wire.openapi import Operation
from driftgate.monitoring.log.counts import DROPPED, read_log_counts
from driftgate.monitoring.windows.pane import PANE_US

LONGEST_US = 35 * 86_400_000_000


class DashboardApi:
    """The endpoints; reads files only."""

    def __init__(self, reconciler: Reconciler, layout: StateLayout, meter: TrafficMeter) -> None:
        self._reconciler = reconciler
        self._layout = layout
        self._meter = meter

    async def overview(self, request: Request) -> Response:
        """Answer every model and arm that one may see with one word, its traffic and its last window."""
        seen, dropped = await asyncio.to_thread(self._look)
        facts, desired = self._reconciler.facts(), self._reconciler.desired
        checking = self._reconciler.checking
        names = filter(may_see(request), model_names(desired, facts))
        reports = [report_model(name, desired, facts, checking) for name in names]
        registry = self._reconciler.registry
        gateway = GatewayOverview(
            generation=desired.generation,
            workers=len(facts.slots),
            accepting=len(facts.members),
            monitor_lag_s=seen.monitor.lag_s if seen.monitor else None,
            dropped_rows=dropped,
            late_rows=seen.windows.late_rows if seen.windows else 0,
            problems=(registry.problem,) if registry.problem else (),
        )
        return json_now(OverviewAnswer(seen.now_us, gateway, overview_of(reports, seen)))

    def _look(self) -> tuple[Seen, int]:
        layout = self._layout
        counts: Counter[str] = Counter()
        for number in slot_numbers(layout):
            counts.update(read_log_counts(layout.log_counts(number)))
        with monitor_book(layout) as db:
            last = db.last_panes() if db else {}
        drift = read_drift_status(layout)
        seen = Seen(
            now_us=time.time_ns() // 1000,
            window_length_us=drift.window_us if drift is not None else PANE_US,
            monitor=read_monitor_status(layout),
            windows=read_window_status(layout),
            last=last,
            traffic=self._meter.traffic(),
            drift=drift_words(drift),
        )
        return seen, sum(counts[cell] for cell in DROPPED.values())


def since_us(request: Request, now_us: int) -> int:
    """Return where what is asked for begins, in Unix microseconds; a day ago if it is not said."""
    moment = moment_of(request.query_params.get("since") or "24h")
    first_us = round(moment.timestamp() * 1e6)
    if not now_us - LONGEST_US <= first_us < now_us:
        raise BadRequest("since must be in the past, and windows are kept for 35 days")
    return first_us


def json_now(document: object) -> Response:
    """Return a document as JSON that nobody keeps: it is of this moment."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(document), 200, headers, "application/json")


def dashboard_routes(api: DashboardApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    overview = Operation("GET", "/api/overview", "How everything fares", None, OverviewAnswer)
    return [AdminRoute(overview, api.overview)]
