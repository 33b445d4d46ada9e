"""The admin API's part for drift: what evidence there is, who is told of it, and what would have notified."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.guards import who_asks
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.change_requests import Ask, check_expected, json_answer, report
from driftgate.gateway.admin.dashboard import json_now
from driftgate.gateway.admin.drift_backtest import BacktestReader
from driftgate.gateway.admin.drift_documents import (
    AcknowledgeDriftRequest,
    ArmRequest,
    BacktestAnswer,
    DriftAnswer,
    DriftChangeAnswer,
    DriftVersion,
    ObserveRequest,
)
from driftgate.gateway.admin.requests import dry_run, expected_generation, read_body
from driftgate.gateway.control.changes import find_subject
from driftgate.gateway.control.drift_changes import acknowledge, arm, observe
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.dashboard.monitor_reader import monitor_book
from driftgate.gateway.errors import Conflict, PreconditionFailed
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.drift_status import read_drift_status
from driftgate.gateway.state.desired import Armed
from driftgate.gateway.state.generations import StaleGeneration
from driftgate.gateway.wire.openapi import Operation
from driftgate.monitoring.alerts.plain_text import plain
from driftgate.monitoring.drift.pace import rows_to_find_shift
from driftgate.monitoring.drift.seasons import WEEK_US, WEEKS_TO_PROPOSE
from driftgate.monitoring.drift.status import DriftStatus, VersionFigure
from driftgate.monitoring.reference.profile import ReferenceProfile

_DRIFT = "/api/models/{model}/drift"
MOST_WHY = 500


class DriftApi:
    """The endpoints. Evidence is what the monitor last said; arming is part of the desired state."""

    def __init__(self, reconciler: Reconciler, layout: StateLayout) -> None:
        self._reconciler = reconciler
        self._layout = layout
        self._backtests = BacktestReader(layout)

    async def all(self, request: Request) -> Response:
        """Answer what the monitor says of all models."""
        return json_now(await asyncio.to_thread(read_drift_status, self._layout) or DriftStatus())

    async def show(self, request: Request) -> Response:
        """Answer the drift of one model."""
        name = report(self._reconciler, request.path_params["model"]).name
        return json_now(await asyncio.to_thread(self._answer, name))

    async def arm(self, request: Request) -> Response:
        """Let drift of a version notify."""
        body = await read_body(request, ArmRequest)
        now_us = time.time_ns() // 1000
        first_us = await asyncio.to_thread(self._learnt_from, request, body, now_us) if body.hours else 0
        armed = Armed(now_us, first_us, now_us if body.hours else 0)
        return self._change(request, lambda it: arm(it, body.version, armed), body.why)

    async def observe(self, request: Request) -> Response:
        """Let drift notify nobody, and go on to show it."""
        body = await read_body(request, ObserveRequest)
        return self._change(request, lambda it: observe(it, body.version), body.why)

    async def acknowledge(self, request: Request) -> Response:
        """Let evidence begin anew."""
        body = await read_body(request, AcknowledgeDriftRequest)
        now_us = time.time_ns() // 1000
        return self._change(request, lambda it: acknowledge(it, now_us), body.why)

    async def backtest(self, request: Request) -> Response:
        """Answer what would have notified; one is computed at a time, in seconds."""
        name = report(self._reconciler, request.path_params["model"]).name
        desired = self._reconciler.desired.models.get(name)
        return json_now(await self._backtests.answer(request, name, desired))

    def _change(self, request: Request, ask: Ask, why: str) -> Response:
        name, who = request.path_params["model"], who_asks(request)
        if dry_run(request):
            check_expected(self._reconciler, request)
            asked = ask(find_subject(name, self._reconciler.desired, self._reconciler.facts(), who))
        else:
            try:
                expected = expected_generation(request)
                asked = self._reconciler.submit(name, who, ask, expected, plain(why, MOST_WHY))
            except StaleGeneration as error:
                raise PreconditionFailed(f"{error}: read the model and decide again") from error
        armed = tuple(sorted(map(int, asked.armed)))
        answer = DriftChangeAnswer(name, self._reconciler.desired.generation, armed, dry_run(request))
        return json_answer(self._reconciler, answer)

    def _learnt_from(self, request: Request, body: ArmRequest, now_us: int) -> int:
        """Return when the windows begin whose hours are learnt; raise Conflict if there are too few."""
        name = request.path_params["model"]
        found = next((one for one in self._figures(name) if one.version == body.version), None)
        first_us = found.first_us if found is not None else now_us
        days = (now_us - first_us) / WEEK_US * 7
        if days < WEEKS_TO_PROPOSE * 7:
            raise Conflict(
                f"version {body.version} of {name} has been watched for {days:.1f} days, and its hours are "
                f"learnt from {WEEKS_TO_PROPOSE * 7}: arm it then, or judge it by its reference alone "
                "(--without-hours), if its traffic has no seasons"
            )
        return first_us

    def _figures(self, name: str) -> list[VersionFigure]:
        status = read_drift_status(self._layout)
        return [one for one in status.versions if one.model == name] if status is not None else []

    def _answer(self, name: str) -> DriftAnswer:
        status = read_drift_status(self._layout) or DriftStatus()
        figures = [one for one in status.versions if one.model == name]
        profiles: dict[str, ReferenceProfile] = {}
        with monitor_book(self._layout) as db:
            if db is not None and figures:
                profiles = {one.id: one.profile for one in db.references(name)}
        versions = [_version(one, profiles.get(one.reference_id)) for one in reversed(figures)]
        return DriftAnswer(name, status.at_us, status.window_us, tuple(versions))


def drift_routes(api: DriftApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    change = DriftChangeAnswer
    rows = (
        ("GET", "/api/drift", "Drift of all models", None, DriftStatus, api.all),
        ("GET", _DRIFT, "Drift of a model", None, DriftAnswer, api.show),
        ("GET", f"{_DRIFT}/backtest", "What would have notified", None, BacktestAnswer, api.backtest),
        ("POST", f"{_DRIFT}/arm", "Let drift notify", ArmRequest, change, api.arm),
        ("POST", f"{_DRIFT}/observe", "Let drift notify nobody", ObserveRequest, change, api.observe),
        (
            "POST",
            f"{_DRIFT}/acknowledge",
            "Let evidence begin anew",
            AcknowledgeDriftRequest,
            change,
            api.acknowledge,
        ),
    )
    return [
        AdminRoute(Operation(method, path, summary, request, answer), endpoint)
        for method, path, summary, request, answer, endpoint in rows
    ]


def _version(figure: VersionFigure, profile: ReferenceProfile | None) -> DriftVersion:
    rows = sum(one.rows for one in figure.streams if not one.segment)
    found = rows_to_find_shift(profile, 10**figure.log10_target) if profile is not None else None
    return DriftVersion(figure, rows, found)
