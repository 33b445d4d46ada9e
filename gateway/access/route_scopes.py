"""What every route asks of who calls it: the one table of who may do what, checked at start. Pure.

A route that is not in it keeps its process from starting, so that none is open by oversight.
"""

from collections.abc import Mapping
from typing import Literal

from driftgate.gateway.access.scopes import EVERY, SOME, Need
from driftgate.gateway.http.fixed_extensions import REFUSALS, STATES

Plane = Literal["admin", "data", "probes"]
Routes = Mapping[tuple[str, str], Need]

ANYBODY = Need(open=True)
ADMINISTRATOR = Need()
READ_ALL = Need(("read",))
READ_SOME = Need(("read",), SOME)
READ_MODEL = Need(("read",), "model")
OPERATE = Need(("operate",), "model")
PUBLISH = Need(("publish",), "model")
PREDICT = Need(("infer",), "model")
FILL = Need(("features",), "view")
READ_VIEW = Need(("features", "read"), "view")
READ_SOME_VIEWS = Need(("features", "read"), SOME)
CHANGES = frozenset({OPERATE, FILL})
"""What needs a token on the data port too, wherever there are tokens."""
KNOW = Need(("infer", "read"), "model")
"""Clients ask for a model's inputs before they predict."""

_ADMIN_MODEL = "/api/models/{model}"
_REPOSITORY = "/v2/repository/models/{model}"
_VIEW = "/api/features/{view}"
_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{version}"

ADMIN_ROUTES: Routes = {
    ("GET", "/"): ANYBODY,
    ("GET", "/dashboard/plotly/{version}"): ANYBODY,
    ("GET", "/dashboard/{build}/{file}"): ANYBODY,
    ("GET", "/api/overview"): READ_SOME,
    ("GET", "/api/models"): READ_SOME,
    ("GET", _ADMIN_MODEL): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/example"): READ_MODEL,
    ("POST", f"{_ADMIN_MODEL}/promote"): OPERATE,
    ("PUT", f"{_ADMIN_MODEL}/traffic"): OPERATE,
    ("DELETE", f"{_ADMIN_MODEL}/traffic"): OPERATE,
    ("GET", f"{_ADMIN_MODEL}/assignment"): OPERATE,
    ("PUT", f"{_ADMIN_MODEL}/shadow"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/rollback"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/pin"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/unpin"): OPERATE,
    ("GET", f"{_ADMIN_MODEL}/history"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/evidence"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/feature"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/quality"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/power"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/references"): READ_MODEL,
    ("POST", f"{_ADMIN_MODEL}/references"): OPERATE,
    ("GET", "/api/drift"): READ_ALL,
    ("GET", f"{_ADMIN_MODEL}/drift"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/drift/backtest"): READ_MODEL,
    ("POST", f"{_ADMIN_MODEL}/drift/arm"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/drift/observe"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/drift/acknowledge"): OPERATE,
    ("GET", "/api/alerts"): READ_SOME,
    ("GET", f"{_ADMIN_MODEL}/alerts"): READ_MODEL,
    ("POST", f"{_ADMIN_MODEL}/alerts/{{alert}}/acknowledge"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/alerts/test"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/silences"): OPERATE,
    ("DELETE", f"{_ADMIN_MODEL}/silences/{{silence}}"): OPERATE,
    ("GET", f"{_ADMIN_MODEL}/settings"): READ_MODEL,
    ("PUT", f"{_ADMIN_MODEL}/settings"): OPERATE,
    ("POST", f"{_ADMIN_MODEL}/uploads"): PUBLISH,
    ("PUT", f"{_ADMIN_MODEL}/uploads/{{upload}}/files/{{number}}"): PUBLISH,
    ("POST", f"{_ADMIN_MODEL}/uploads/{{upload}}/commit"): PUBLISH,
    ("GET", f"{_ADMIN_MODEL}/feature-views"): PUBLISH,
    ("GET", f"{_ADMIN_MODEL}/versions/{{version}}/manifest"): READ_MODEL,
    ("GET", f"{_ADMIN_MODEL}/versions/{{version}}/files/{{number}}"): READ_MODEL,
    ("GET", "/api/features"): READ_SOME_VIEWS,
    ("GET", _VIEW): READ_VIEW,
    ("PUT", _VIEW): FILL,
    ("GET", f"{_VIEW}/entity"): READ_VIEW,
    ("GET", f"{_VIEW}/skew"): READ_VIEW,
    ("POST", f"{_VIEW}/rollback"): FILL,
    ("GET", "/api/state"): READ_ALL,
    ("GET", "/api/events"): READ_SOME,
    ("GET", "/api/events/verify"): READ_ALL,
    ("GET", "/api/annotations"): READ_SOME,
    ("GET", "/api/tokens"): ADMINISTRATOR,
    ("POST", "/api/tokens"): ADMINISTRATOR,
    ("DELETE", "/api/tokens/{token}"): ADMINISTRATOR,
    ("GET", "/api/refusals"): ADMINISTRATOR,
    ("POST", "/v2/repository/index"): READ_ALL,
    ("POST", f"{_REPOSITORY}/load"): OPERATE,
    ("POST", f"{_REPOSITORY}/unload"): OPERATE,
    ("GET", "/health"): ANYBODY,
    ("GET", "/openapi.json"): ANYBODY,
}

DATA_ROUTES: Routes = {
    ("GET", "/v2"): ANYBODY,
    ("GET", "/v2/health/live"): ANYBODY,
    ("GET", "/v2/health/ready"): ANYBODY,
    ("GET", "/v2/models"): READ_ALL,
    ("GET", "/v2/models/stats"): READ_ALL,
    ("POST", "/v2/repository/index"): READ_ALL,
    ("POST", "/v2/repository/models/{model}/{verb:path}"): OPERATE,
    ("GET", "/openapi.json"): READ_ALL,
    ("POST", "/v1/features/{view}"): FILL,
    **{("GET", path): ANYBODY for path in STATES},
    **{("POST", path): ANYBODY for path in REFUSALS},
    **{("GET", place): KNOW for place in (_MODEL, _VERSION)},
    **{("GET", f"{place}/ready"): KNOW for place in (_MODEL, _VERSION)},
    **{("GET", f"{place}/config"): KNOW for place in (_MODEL, _VERSION)},
    **{("GET", f"{place}/stats"): READ_MODEL for place in (_MODEL, _VERSION)},
    **{("POST", f"{place}/infer"): PREDICT for place in (_MODEL, _VERSION)},
    **{("POST", f"{place}/predict"): PREDICT for place in (_MODEL, _VERSION)},
}

PROBE_ROUTES: Routes = {
    ("GET", "/metrics"): ANYBODY,
    ("GET", "/health/live"): ANYBODY,
    ("GET", "/health/ready"): ANYBODY,
    ("GET", "/health/control"): ANYBODY,
}

_ROUTES: Mapping[Plane, Routes] = {"admin": ADMIN_ROUTES, "data": DATA_ROUTES, "probes": PROBE_ROUTES}


class UndeclaredScope(Exception):
    """A route that does not say what it asks of who calls it; add it to the table in this module."""


def need_of(plane: Plane, method: str, path: str) -> Need:
    """Return what a route asks for; raise UndeclaredScope without one, or where its path names nothing."""
    need = _ROUTES[plane].get((method, path))
    if need is None:
        raise UndeclaredScope(
            f"{method} {path} declares no scope: add it to the {plane} routes in "
            "gateway/access/route_scopes.py"
        )
    if need.of not in (EVERY, SOME) and f"{{{need.of}" not in path:
        raise UndeclaredScope(f"{method} {path} is about a {need.of}, and its path names none")
    return need
