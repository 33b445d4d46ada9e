"""The admin API's part for a model's windows: evidence over time, one feature, data quality, power."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.change_requests import report
from driftgate.gateway.admin.dashboard import json_now, since_us
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.dashboard.window_reader import (
    EvidenceAnswer,
    FeatureAnswer,
    FeatureQuestion,
    HistoryAnswer,
    PowerAnswer,
    QualityAnswer,
    WindowReader,
)
from driftgate.gateway.errors import BadRequest
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.wire.openapi import Operation

MOST_MINUTES = 7 * 1440
_MODEL = "/api/models/{model}"


class WindowsApi:
    """The endpoints; reads files only."""

    def __init__(self, reconciler: Reconciler, layout: StateLayout) -> None:
        self._reconciler = reconciler
        self._windows = WindowReader(layout)

    async def history(self, request: Request) -> Response:
        """Answer how rows, errors and latency went, by arm."""
        first_us = since_us(request, time.time_ns() // 1000)
        return json_now(await asyncio.to_thread(self._windows.history, self._model(request), first_us))

    async def evidence(self, request: Request) -> Response:
        """Answer how evidence of drift went, by feature."""
        first_us = since_us(request, time.time_ns() // 1000)
        return json_now(await asyncio.to_thread(self._windows.evidence, self._model(request), first_us))

    async def feature(self, request: Request) -> Response:
        """Answer the cells and the trend of one feature."""
        query = request.query_params
        question = FeatureQuestion(
            model=self._model(request),
            name=query.get("name", ""),
            version=_whole(request, "version"),
            arm=query.get("arm"),
            minutes=_whole(request, "minutes"),
            first_us=since_us(request, time.time_ns() // 1000),
        )
        if question.minutes and question.minutes > MOST_MINUTES:
            raise BadRequest(f"minutes must be a whole number from 1 to {MOST_MINUTES}")
        return json_now(await asyncio.to_thread(self._windows.feature, question))

    async def quality(self, request: Request) -> Response:
        """Answer the rates of bad data in the last complete windows."""
        return json_now(await asyncio.to_thread(self._windows.quality, self._model(request)))

    async def power(self, request: Request) -> Response:
        """Answer the references of a model, and the smallest changes that they can show."""
        return json_now(await asyncio.to_thread(self._windows.power, self._model(request)))

    def _model(self, request: Request) -> str:
        return report(self._reconciler, request.path_params["model"]).name


def window_routes(api: WindowsApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    rows = (
        ("history", "Rows, errors and latency over time", HistoryAnswer, api.history),
        ("evidence", "Evidence of drift over time", EvidenceAnswer, api.evidence),
        ("feature", "Cells and trend of one feature", FeatureAnswer, api.feature),
        ("quality", "Data quality by reason", QualityAnswer, api.quality),
        ("power", "References, and what they can show", PowerAnswer, api.power),
    )
    return [
        AdminRoute(Operation("GET", f"{_MODEL}/{name}", summary, None, answer), endpoint)
        for name, summary, answer, endpoint in rows
    ]


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 9 and int(text)):
        raise BadRequest(f"{name} must be a whole number of 1 or more")
    return int(text)
