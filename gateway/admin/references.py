"""The admin API's part for references: what windows are compared with, and making another one of traffic."""

import asyncio
from contextlib import closing
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.change_requests import json_answer, move
from driftgate.gateway.admin.documents import ChangeAnswer
from driftgate.gateway.admin.requests import read_body
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.control.reference_changes import rebaseline
from driftgate.gateway.errors import StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.monitor.watched import DesiredWindows
from driftgate.gateway.state.desired import ReferenceWindow
from driftgate.gateway.wire.openapi import Operation
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.comparison import FeatureChange, profile_changes
from driftgate.monitoring.reference.completion import feature_source
from driftgate.monitoring.reference.profile import Moments, Role, Source, decode_profile, profile_id

Positive = Annotated[int, msgspec.Meta(ge=1)]
_PATH = "/api/models/{model}/references"


class RebaselineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Make the reference of a version of what it answered in [first_us, end_us), in Unix microseconds."""

    version: Positive
    first_us: Positive
    end_us: Positive


class CellCount(msgspec.Struct, frozen=True):
    """One cell of a feature, and how many rows of the reference are in it."""

    name: str
    rows: int


class FeatureDocument(msgspec.Struct, frozen=True):
    """One watched feature; its source is another than the reference's where training rows cannot have it."""

    name: str
    role: Role
    source: Source
    moments: Moments
    cells: tuple[CellCount, ...]


class ReferenceDocument(msgspec.Struct, frozen=True):
    """A reference of one version, in force for rows from `from_us` on; `id` names its profile.

    `source` is "training", "traffic" (of `first_us` to `last_us`) or "none"; of "training" these times are of
    the traffic that completed it, 0 before. `changes` are from the version's reference before it. Times in
    Unix microseconds.
    """

    version: int
    from_us: int
    id: str
    source: Source
    rows: int
    first_us: int
    last_us: int
    features: tuple[FeatureDocument, ...]
    changes: tuple[FeatureChange, ...] = ()


class ReferencesAnswer(msgspec.Struct, frozen=True):
    """All references of a model, the earliest of each version first: the last one is in force."""

    model: str
    references: tuple[ReferenceDocument, ...]


def reference_routes(api: "ReferencesApi") -> list[AdminRoute]:
    """Return the routes of this part."""
    rows = (
        ("GET", "What windows are compared with", None, ReferencesAnswer, api.show),
        ("POST", "Make a reference of traffic", RebaselineRequest, ChangeAnswer, api.rebaseline),
    )
    return [
        AdminRoute(Operation(method, _PATH, summary, request, answer), endpoint)
        for method, summary, request, answer, endpoint in rows
    ]


class ReferencesApi:
    """The endpoints. The monitor makes references; this asks for them and reads what is there."""

    def __init__(self, reconciler: Reconciler, layout: StateLayout) -> None:
        self._reconciler = reconciler
        self._monitor_db = layout.monitor_db
        self._published = DesiredWindows(layout).find_profile

    async def show(self, request: Request) -> Response:
        """Answer the references of a model: those in use, and those that were published."""
        name = request.path_params["model"]
        found = await asyncio.to_thread(self._references, name)
        before: list[Reference | None] = [None, *found[:-1]]
        return json_answer(self._reconciler, ReferencesAnswer(name, tuple(map(_document, found, before))))

    async def rebaseline(self, request: Request) -> Response:
        """Have a reference made of a window of traffic; it is in force soon after the answer."""
        body = await read_body(request, RebaselineRequest)
        window = ReferenceWindow(body.version, body.first_us, body.end_us)
        return await move(self._reconciler, request, lambda subject: rebaseline(subject, window))

    def _references(self, name: str) -> list[Reference]:
        """Return what the monitor counts with, and what held versions that it has not met will be."""
        found = _in_use(self._monitor_db, name)
        met = {one.version for one in found}
        model = self._reconciler.desired.models.get(name)
        for held in model.held if model is not None else ():
            data = None if held.version in met else self._published(name, held.version)
            if data is not None:
                found.append(Reference(name, held.version, 0, profile_id(data), decode_profile(data), data))
        return found


def _in_use(path: Path, model: str) -> list[Reference]:
    try:
        with closing(MonitorDb(path, read_only=True)) as db:
            return db.references(model)
    except FileNotFoundError:
        return []
    except SqliteError as error:
        raise StateUnusable("monitor.db cannot be read: look at the log of the monitor") from error


def _document(reference: Reference, before: Reference | None) -> ReferenceDocument:
    profile = reference.profile
    is_later = before is not None and before.version == reference.version
    return ReferenceDocument(
        version=reference.version,
        from_us=reference.from_us,
        id=reference.id,
        source=profile.source,
        rows=profile.rows,
        first_us=profile.first_us,
        last_us=profile.last_us,
        features=tuple(
            FeatureDocument(
                one.name,
                one.role,
                feature_source(profile, one),
                one.moments,
                tuple(map(CellCount, one.cells.names, one.counts)),
            )
            for one in profile.features
        ),
        changes=profile_changes(before.profile, profile) if before is not None and is_later else (),
    )
