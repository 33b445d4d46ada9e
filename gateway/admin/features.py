"""The part of the admin API about feature views: what is declared and stored, and who reads it.

Views are named in the path; their rows are pushed on the data port, and loaded on the gateway's machine.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.snapshots import SnapshotInfo, ViewFiles, rollback, snapshot_numbers
from driftgate.features.errors import StoreUnavailable
from driftgate.features.lookup.resolve import Resolver
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.declaration import write_view
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import FeatureView, check_view
from driftgate.gateway.access.guards import may_see, who_asks
from driftgate.gateway.admin import feature_documents as documents
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.feature_report import (
    consumers_of,
    entity_answer,
    known_manifests,
    parsed_key,
    view_report,
)
from driftgate.gateway.admin.feature_skew import skew_of
from driftgate.gateway.admin.requests import dry_run, read_body
from driftgate.gateway.control.feature_views import FeatureViewWatcher
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.errors import Conflict, NotFound, StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.feature_views import KnownViews
from driftgate.gateway.wire.openapi import Operation
from driftgate.models.schema.manifest import Manifest

LOOKUP_S = 1.0
DECLARED = "/api/models/{model}/feature-views"


class FeaturesApi:
    """The endpoints."""

    def __init__(
        self,
        views: FeatureViewWatcher,
        registry: Path,
        layout: StateLayout,
        reconciler: Reconciler,
        logger: Logger,
    ) -> None:
        self._views = views
        self._registry = registry
        self._layout = layout
        self._root = layout.features
        self._reconciler = reconciler
        self._logger = logger

    async def views(self, request: Request) -> Response:
        """Answer all views that one may see."""
        known, manifests = self._views.known, list(known_manifests(self._reconciler.facts()))
        seen = may_see(request, ("features", "read"))
        views = [view for name, view in sorted(known.views.items()) if seen(name)]
        reports = [await self._report(view, manifests) for view in views]
        problems = tuple(f"{name}: {why}" for name, why in sorted(known.problems.items()) if seen(name))
        return _json(documents.ViewsAnswer(tuple(reports), problems))

    async def declared(self, request: Request) -> Response:
        """Answer the declarations that a version of a model may be bound to, for those who publish one."""
        return _json(await self._views.look())

    async def view(self, request: Request) -> Response:
        """Answer one view."""
        return _json(await self._report(self._find(request), list(known_manifests(self._reconciler.facts()))))

    async def declare(self, request: Request) -> Response:
        """Declare a view, or say what that would do."""
        wanted = await read_body(request, documents.DeclareRequest)
        view = check_view(wanted.view)
        if view.name != request.path_params["view"]:
            raise Conflict(f"the path names another view than the declaration, {view.name}")
        present = self._views.known.views.get(view.name)
        outcome = "new" if present is None else "same" if present == view else "changed"
        if not wanted.force:
            self._check_readable(view)
        if outcome != "same" and not dry_run(request):
            await asyncio.to_thread(self._write, view)
            await self._views.step()
            self._logger.info("view_declared", who=who_asks(request), why=f"{view.name} {view.digest}")
        schema = f"{view.schema_id:016x}"
        return _json(documents.DeclareAnswer(view.name, outcome, view.digest, schema))

    async def entity(self, request: Request) -> Response:
        """Answer what a model would get of one entity now."""
        view = self._find(request)
        key = parsed_key(view, request.query_params.get("key", ""))
        layout = RowLayout.of(view)
        fetched = await self._fetch(Lookup(layout, [KeyCodec(view).encode(key)]))
        resolved = Resolver(layout).resolve(fetched.stored, time.time_ns() // 1000)
        return _json(entity_answer(key, resolved, fetched.snapshot))

    async def skew(self, request: Request) -> Response:
        """Answer how what clients sent of a view compares with what is stored."""
        view = self._find(request)
        return _json(await asyncio.to_thread(skew_of, self._layout, view.name))

    async def rollback(self, request: Request) -> Response:
        """Let readers go back to an earlier snapshot; pushes newer than it still count."""
        view = self._find(request)
        wanted = await read_body(request, documents.RollbackRequest)
        files = ViewFiles(self._root, view.name)
        info = await asyncio.to_thread(rollback, files, wanted.snapshot)
        self._views.store.unavailable(view)  # looks: who asks here next reads what was gone back to
        why = f"{view.name} to snapshot {info.number}"
        self._logger.info("features_rolled_back", who=who_asks(request), why=why)
        return _json(info)

    def _find(self, request: Request) -> FeatureView:
        name = request.path_params["view"]
        view = self._views.known.views.get(name)
        if view is None:
            raise NotFound(self._views.known.missing(name[:140]) or f"there is no view {name[:140]!r}")
        return view

    async def _report(self, view: FeatureView, manifests: Sequence[Manifest]) -> documents.ViewReport:
        consumers = consumers_of(view.name, manifests)
        store = self._views.store
        problem = store.unavailable(view) or ""
        report = await asyncio.to_thread(view_report, view, self._root, consumers, time.time(), problem)
        if not isinstance(store, LmdbFeatureStore):
            return report
        problem = report.problem or store.problem(view.name)
        return replace(report, pushed=store.pushed(view.name), problem=problem)

    def _check_readable(self, view: FeatureView) -> None:
        """Raise Conflict where there are rows that the declaration could not read."""
        present = self._views.known.views.get(view.name)
        files = ViewFiles(self._root, view.name)
        stored = snapshot_numbers(files) or files.delta.exists()
        if present is not None and present.schema_id != view.schema_id and stored:
            raise Conflict(
                f"the view {view.name} has rows, and they have other features: give the changed view a new "
                "name, or force it and load all rows anew"
            )

    def _write(self, view: FeatureView) -> None:
        try:
            write_view(self._registry, view)
        except OSError as error:
            raise StateUnusable(f"the registry cannot be written: {error.strerror}") from error

    async def _fetch(self, lookup: Lookup) -> Fetched:
        answered: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()

        def done(fetched: Sequence[Fetched]) -> None:
            if not answered.done():
                answered.set_result(fetched[0])

        self._views.store.fetch([lookup], LOOKUP_S, done)
        try:
            return await asyncio.wait_for(answered, 2 * LOOKUP_S)
        except TimeoutError as error:
            raise StoreUnavailable("the feature store does not answer in time") from error


def feature_routes(api: FeaturesApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    one, all_views, view = "/api/features/{view}", documents.ViewsAnswer, documents.ViewReport
    declare, back = documents.DeclareRequest, documents.RollbackRequest
    entity = documents.EntityAnswer
    return [
        AdminRoute(Operation("GET", "/api/features", "All views", None, all_views), api.views),
        AdminRoute(
            Operation("GET", DECLARED, "Declared views, to publish by", None, KnownViews), api.declared
        ),
        AdminRoute(Operation("GET", one, "One view", None, view), api.view),
        AdminRoute(Operation("PUT", one, "Declare a view", declare, documents.DeclareAnswer), api.declare),
        AdminRoute(Operation("GET", f"{one}/entity", "One entity", None, entity), api.entity),
        AdminRoute(
            Operation("GET", f"{one}/skew", "Sent against stored", None, documents.SkewAnswer), api.skew
        ),
        AdminRoute(
            Operation("POST", f"{one}/rollback", "Back to a snapshot", back, SnapshotInfo), api.rollback
        ),
    ]


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
