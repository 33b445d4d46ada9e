"""`POST /v1/features/{view}`: rows that are pushed, answered when the store has them."""

import time
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.features.rows.codec import encode_rows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.features.rows.pushed_rows import PushReader
from driftgate.features.views.view import FeatureView
from driftgate.gateway.errors import Conflict, NotFound
from driftgate.gateway.http.small_bodies import read_small_body
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.processes.feature_store import open_feature_pushes
from driftgate.gateway.settings import FeatureSettings
from driftgate.gateway.state.feature_views import UnreadableViews, ViewsFile


class PushAnswer(msgspec.Struct, frozen=True):
    """How many rows were written, and how many not because a newer one, or the same, is there already."""

    view: str
    written: int
    older: int
    same: int


class _Pushable(NamedTuple):
    """What is worked out once per view."""

    view: FeatureView
    layout: RowLayout
    reader: PushReader


class FeaturePushApi:
    """Takes pushes in one worker and hands them to the process that writes them."""

    def __init__(self, layout: StateLayout, settings: FeatureSettings) -> None:
        self._views = ViewsFile(layout.feature_views)
        self._pushes = open_feature_pushes(settings, layout)
        self._pushable: dict[str, _Pushable] = {}

    async def push(self, request: Request) -> Response:
        """Write rows of a view; raise GatewayError or FeatureError."""
        body = await read_small_body(request)
        if self._pushes is None:
            raise Conflict("this gateway reads features that Feast writes: push them to Feast")
        view, layout, reader = self._find(request.path_params["view"])
        rows = reader.read(body, time.time_ns() // 1000)
        packed = list(zip(rows.keys, encode_rows(layout, rows), strict=True))
        outcomes = Counter(await self._pushes.push(view.name, packed))
        answer = PushAnswer(
            view.name,
            outcomes[PushOutcome.WRITTEN],
            outcomes[PushOutcome.OLDER],
            outcomes[PushOutcome.SAME],
        )
        return Response(msgspec.json.encode(answer), media_type="application/json")

    def _find(self, name: str) -> _Pushable:
        with suppress(UnreadableViews):  # the worker follows this file too, and logs it
            self._views.look()
        view = self._views.known.views.get(name)
        if view is None:
            raise NotFound(
                self._views.known.missing(name[:140]) or f"there is no feature view {name[:140]!r}"
            )
        held = self._pushable.get(name)
        if held is None or held.view != view:
            held = self._pushable[name] = _Pushable(view, RowLayout.of(view), PushReader(view))
        return held
