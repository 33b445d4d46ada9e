"""The table of routes: a route that is not in it stops its process from starting."""

import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.route_scopes import (
    ADMIN_ROUTES,
    DATA_ROUTES,
    PROBE_ROUTES,
    UndeclaredScope,
    need_of,
)
from driftgate.gateway.admin.access import AdminAccess
from driftgate.gateway.admin.api import AdminApi, AdminRoute, admin_app
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes import probes
from driftgate.gateway.wire.openapi import Operation
from driftgate.models.registry.cache import VersionCache

from harness.control_room import control_room


async def _nothing(request: Request) -> Response:
    return Response()


def app_with(loop: Reconciler, root: Path, route: AdminRoute) -> object:
    """Return the admin API with one more route."""
    api = AdminApi(loop, VersionCache(root), Logger("control", stream=BytesIO()), "http://127.0.0.1:1")
    return admin_app(api, AdminAccess(), [route])


def test_a_route_without_a_scope_stops_the_start(tmp_path: Path) -> None:
    """The admin API is not built with a route that nobody declared; the error says where to do so."""

    async def run() -> None:
        async with control_room(tmp_path) as room:
            route = AdminRoute(Operation("POST", "/api/secret-door", "A door"), _nothing)
            with pytest.raises(UndeclaredScope, match=r"POST /api/secret-door .*access/route_scopes.py"):
                app_with(room.loop, tmp_path, route)

    asyncio.run(run())


@pytest.mark.parametrize("plane", ["admin", "data", "probes"])
def test_a_method_is_declared_on_its_own(plane: str) -> None:
    """What may be read is not thereby open to changes."""
    with pytest.raises(UndeclaredScope):
        need_of(plane, "PATCH", "/health")  # type: ignore[arg-type]  # the table holds plain words


def test_every_need_finds_its_name_in_the_path() -> None:
    """A need of one model stands on paths that name one, so that it can be checked."""
    for plane, routes in (("admin", ADMIN_ROUTES), ("data", DATA_ROUTES), ("probes", PROBE_ROUTES)):
        for (method, path), need in routes.items():
            assert need_of(plane, method, path) == need  # type: ignore[arg-type]  # as above


def test_only_what_asks_for_nothing_is_open() -> None:
    """Whoever opens a route to everybody changes this list too."""
    opened = {
        path for routes in (ADMIN_ROUTES, DATA_ROUTES) for (_, path), need in routes.items() if need.open
    }
    assert not any("{model}" in path and not path.endswith("/trace/setting") for path in opened)
    assert all(need.open for need in PROBE_ROUTES.values())
    assert not ADMIN_ROUTES[("GET", "/api/state")].open


def test_the_probes_have_no_other_routes(tmp_path: Path) -> None:
    """The port without tokens serves what its table declares, and no more."""
    paths = {getattr(route, "path", "") for route in probes.application(StateLayout(tmp_path)).routes}
    assert paths == {path for _, path in PROBE_ROUTES}
