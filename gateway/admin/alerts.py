"""The admin API's part for alerts: reads what the monitor wrote of them, and hands it requests."""

import asyncio
import secrets
import time
from contextlib import closing
from sqlite3 import Error as SqliteError
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.guards import may_see, who_asks
from driftgate.gateway.admin.alert_documents import (
    AcknowledgeRequest,
    AlertDocument,
    AlertsAnswer,
    Asked,
    AskedAnswer,
    SilenceRequest,
)
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.change_requests import report
from driftgate.gateway.admin.documents import EmptyRequest
from driftgate.gateway.admin.requests import read_body
from driftgate.gateway.admin.timeline import moment_of
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.errors import Conflict, NotFound, StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.metrics.alerts import read_alert_status
from driftgate.gateway.state.alert_requests import (
    Acknowledge,
    AlertRequest,
    AlertRequests,
    BeSilent,
    EndSilence,
    TryReceivers,
)
from driftgate.gateway.wire.openapi import Operation
from driftgate.monitoring.alerts.alert import TRANSITIONS, Event
from driftgate.monitoring.alerts.book import MOST_SILENCES, Silence
from driftgate.monitoring.alerts.plain_text import plain
from driftgate.monitoring.book.alert_tables import AlertPage
from driftgate.monitoring.book.monitor_db import MonitorDb

MOST_ALERTS = 1000
MOST_WHY = 500
DEFAULT_SINCE = "7d"
DONE_WITHIN_S = 3.0
LOOK_EVERY_S = 0.05
_MODEL = "/api/models/{model}"


class Audit(NamedTuple):
    """What the timeline keeps of a request."""

    event: str
    model: str
    who: str
    why: str = ""
    version: int = 0
    alert: str = ""


class AlertsApi:
    """The endpoints."""

    def __init__(self, reconciler: Reconciler, layout: StateLayout, logger: Logger) -> None:
        self._reconciler = reconciler
        self._layout = layout
        self._logger = logger
        self._requests = AlertRequests(layout.alert_requests, self._done)

    async def all(self, request: Request) -> Response:
        """Answer the alerts of all models that one may see."""
        page, seen = await self._page(None, _since_us(request)), may_see(request)
        alerts = tuple(one for one in page.alerts if seen(one.finding.model))
        return _json(_answer(AlertPage(alerts, tuple(one for one in page.silences if seen(one.model)))))

    async def of_model(self, request: Request) -> Response:
        """Answer the alerts of one model."""
        name = report(self._reconciler, request.path_params["model"]).name
        return _json(_answer(await self._page(name, _since_us(request))))

    async def acknowledge(self, request: Request) -> Response:
        """Say that somebody looks at an alert."""
        asked = await read_body(request, AcknowledgeRequest)
        name, alert_id = request.path_params["model"], request.path_params["alert"]
        found = await self._alert(name, alert_id)
        if (found.state, Event.ACKNOWLEDGED) not in TRANSITIONS:
            raise Conflict(f"alert {found.id} is {found.state}: only what fires or is silenced can be that")
        who, why = who_asks(request), plain(asked.why, MOST_WHY)
        audit = Audit("alert_acknowledged", name, who, why, found.version, found.id)
        state = await self._ask(Acknowledge(found.id, who, why), audit)
        return _json(AskedAnswer(state, alert=await self._alert(name, alert_id)))

    async def silence(self, request: Request) -> Response:
        """Tell nobody of a model's alerts for a while."""
        asked = await read_body(request, SilenceRequest)
        name, now_us = report(self._reconciler, request.path_params["model"]).name, _now_us()
        if len((await self._page(None, now_us)).silences) >= MOST_SILENCES:
            raise Conflict(f"there are {MOST_SILENCES} silences already: end some of them first")
        silence = Silence(
            id=secrets.token_hex(4),
            model=name,
            rule=asked.rule,
            version=asked.version,
            who=who_asks(request),
            why=plain(asked.why, MOST_WHY),
            since_us=now_us,
            until_us=now_us + asked.for_s * 1_000_000,
        )
        about = f"{silence.why}; {silence.id}, {asked.rule or 'any rule'}, for {asked.for_s} s"
        audit = Audit("alerts_silenced", name, silence.who, about, asked.version)
        state = await self._ask(BeSilent(silence), audit)
        return _json(AskedAnswer(state, silence=silence))

    async def unsilence(self, request: Request) -> Response:
        """End a silence before its time."""
        name, silence_id = request.path_params["model"], request.path_params["silence"]
        page = await self._page(name, _now_us())
        found = next((one for one in page.silences if one.id == silence_id), None)
        if found is None:
            raise NotFound(f"{name} has no silence {silence_id[:40]!r}: it is over, or never was")
        who = who_asks(request)
        audit = Audit("alerts_unsilenced", name, who, f"{found.id}: {found.why}", found.version)
        state = await self._ask(EndSilence(found.id), audit)
        return _json(AskedAnswer(state, silence=found))

    async def test(self, request: Request) -> Response:
        """Tell every receiver of a model's alerts that this is a test."""
        await read_body(request, EmptyRequest)
        name, who = report(self._reconciler, request.path_params["model"]).name, who_asks(request)
        state = await self._ask(TryReceivers(name, who), Audit("alerts_tested", name, who))
        return _json(AskedAnswer(state))

    async def _ask(self, request: AlertRequest, audit: Audit) -> Asked:
        """Hand a request to the monitor, note who asked, and wait a moment until it is carried out."""
        number = await asyncio.to_thread(self._requests.add, request)
        self._logger.info(
            audit.event,
            who=audit.who,
            why=audit.why,
            model=audit.model,
            version=audit.version,
            alert=audit.alert,
        )
        deadline = time.monotonic() + DONE_WITHIN_S
        while self._done() < number:
            if time.monotonic() > deadline:
                return "asked"
            await asyncio.sleep(LOOK_EVERY_S)
        return "done"

    async def _alert(self, model: str, alert_id: str) -> AlertDocument:
        page = await self._page(model, 0)
        found = next((one for one in page.alerts if one.id == alert_id), None)
        if found is None:
            raise NotFound(f"{model[:140]!r} has no alert {alert_id[:40]!r}")
        return AlertDocument.of(found)

    async def _page(self, model: str | None, since_us: int) -> AlertPage:
        return await asyncio.to_thread(read_alerts, self._layout, model, since_us)

    def _done(self) -> int:
        status = read_alert_status(self._layout)
        return status.request if status is not None else 0


def read_alerts(layout: StateLayout, model: str | None, since_us: int) -> AlertPage:
    """Return the alerts that are open or began since then, of one model if it is given, and its silences."""
    try:
        with closing(MonitorDb(layout.monitor_db, read_only=True)) as db:
            return db.alert_page(model, since_us, MOST_ALERTS)
    except FileNotFoundError:
        return AlertPage()
    except SqliteError as error:
        raise StateUnusable("monitor.db cannot be read: look at the log of the monitor") from error


def alert_routes(api: AlertsApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    alerts, asked = AlertsAnswer, AskedAnswer
    acknowledge = f"{_MODEL}/alerts/{{alert}}/acknowledge"
    rows = (
        ("GET", "/api/alerts", "All alerts and silences", None, alerts, api.all),
        ("GET", f"{_MODEL}/alerts", "Alerts and silences of a model", None, alerts, api.of_model),
        ("POST", acknowledge, "Say that somebody looks", AcknowledgeRequest, asked, api.acknowledge),
        ("POST", f"{_MODEL}/silences", "Tell nobody for a while", SilenceRequest, asked, api.silence),
        ("DELETE", f"{_MODEL}/silences/{{silence}}", "Tell again", None, asked, api.unsilence),
        ("POST", f"{_MODEL}/alerts/test", "Try all receivers", EmptyRequest, asked, api.test),
    )
    return [
        AdminRoute(Operation(method, path, summary, request, answer), endpoint)
        for method, path, summary, request, answer, endpoint in rows
    ]


def _answer(page: AlertPage) -> AlertsAnswer:
    return AlertsAnswer(tuple(map(AlertDocument.of, page.alerts)), page.silences)


def _since_us(request: Request) -> int:
    return round(moment_of(request.query_params.get("since") or DEFAULT_SINCE).timestamp() * 1e6)


def _now_us() -> int:
    return time.time_ns() // 1000


def _json(document: object) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(document), 200, headers, "application/json")
