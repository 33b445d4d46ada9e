"""The admin API: what operators and their tools see of models and may change, on its own port.

Changing calls answer when the change is in force or has failed. The ETag of every answer is the generation.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from driftgate import __version__
from driftgate.features.errors import FeatureError
from driftgate.gateway.access.guards import may_see
from driftgate.gateway.access.route_scopes import need_of
from driftgate.gateway.access.scopes import EVERY
from driftgate.gateway.admin import documents as documents
from driftgate.gateway.admin.access import AdminAccess
from driftgate.gateway.admin.change_requests import json_answer, move, report, submit
from driftgate.gateway.admin.parameters import check_query, parameters_of
from driftgate.gateway.admin.requests import read_body, wait_seconds
from driftgate.gateway.admin.traffic import TrafficApi
from driftgate.gateway.control import changes
from driftgate.gateway.control.model_report import ModelReport, model_names, report_model
from driftgate.gateway.control.pending import Outcome, loaded, looked_again
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.control.shadow_changes import set_shadow
from driftgate.gateway.errors import GatewayError, MethodNotAllowed, NotFound, StateUnusable
from driftgate.gateway.http.answers import error_answer
from driftgate.gateway.logs import Logger
from driftgate.gateway.routing.assignment import AssignmentAnswer
from driftgate.gateway.state.desired import DesiredState
from driftgate.gateway.wire.example_rows import example_rows
from driftgate.gateway.wire.openapi import Operation, admin_plane_document
from driftgate.models.errors import ModelError
from driftgate.models.registry.cache import VersionCache

EXAMPLE_ROWS = 2

Endpoint = Callable[[Request], Awaitable[Response]]


class AdminRoute(NamedTuple):
    """What a route promises, and who answers it."""

    operation: Operation
    endpoint: Endpoint


def admin_app(
    api: "AdminApi",
    access: AdminAccess,
    more: Sequence[AdminRoute] = (),
    pages: Sequence[tuple[str, Endpoint]] = (),
) -> Starlette:
    """Return the admin API with `more` routes; /openapi.json comes from the same table as the routes.

    `pages` are paths that answer people's browsers. Raises UndeclaredScope for a route that does not say who
    may call it.
    """
    table = [_with_parameters(route) for route in (*admin_routes(api, api.flow), *more)]
    document = admin_plane_document(__version__, [route.operation for route in table])

    async def openapi(request: Request) -> Response:
        return Response(document, media_type="application/json")

    def route(method: str, path: str, endpoint: Endpoint) -> Route:
        need = need_of("admin", method, path)
        return Route(path, api.guarded(access.before(need, endpoint)), methods=[method])

    routes = [route(it.operation.method, it.operation.path, _strict(it)) for it in table]
    routes.append(route("GET", "/openapi.json", openapi))
    routes += [route("GET", path, endpoint) for path, endpoint in pages]
    app = Starlette(routes=routes, exception_handlers={HTTPException: api.refuse_path})
    app.router.redirect_slashes = False
    return app


def _with_parameters(route: AdminRoute) -> AdminRoute:
    known = parameters_of(route.operation.method, route.operation.path)
    return route._replace(operation=dataclasses.replace(route.operation, parameters=known))


def _strict(route: AdminRoute) -> Endpoint:
    """Return a route's endpoint for requests without query parameters that it does not know."""

    async def answer(request: Request) -> Response:
        given = (name for name, _ in request.query_params.multi_items())
        check_query(route.operation.path, route.operation.parameters, given)
        return await route.endpoint(request)

    return answer


def admin_routes(api: "AdminApi", flow: TrafficApi) -> list[AdminRoute]:
    """Return the table of all routes."""
    model, repository = "/api/models/{model}", "/v2/repository/models/{model}"
    empty, change, load = documents.EmptyRequest, documents.ChangeAnswer, documents.LoadRequest
    rows = (
        ("GET", "/api/models", "All models", None, documents.ModelsAnswer, api.models),
        ("GET", model, "One model", None, ModelReport, api.model),
        ("GET", f"{model}/example", "Rows it takes", None, documents.ExampleAnswer, api.example),
        (
            "POST",
            f"{model}/promote",
            "All traffic to one version",
            documents.PromoteRequest,
            change,
            flow.promote,
        ),
        ("PUT", f"{model}/traffic", "Split the traffic", documents.TrafficRequest, change, flow.set),
        ("PUT", f"{model}/shadow", "Copy calls to a version", documents.ShadowRequest, change, api.shadow),
        ("DELETE", f"{model}/traffic", "All traffic to the stable version", empty, change, flow.clear),
        ("GET", f"{model}/assignment", "Who gets a key, and why", None, AssignmentAnswer, flow.assignment),
        (
            "POST",
            f"{model}/rollback",
            "Back to the last stable version, pinned",
            empty,
            change,
            flow.rollback,
        ),
        ("POST", f"{model}/pin", "Keep the traffic where it is", empty, change, flow.pin),
        ("POST", f"{model}/unpin", "Let the policy move the traffic", empty, change, flow.unpin),
        ("GET", "/api/state", "Newest generation, slots, problems", None, documents.StateAnswer, api.state),
        (
            "POST",
            "/v2/repository/index",
            "All versions",
            documents.IndexRequest,
            tuple[documents.IndexRow, ...],
            api.repository_index,
        ),
        ("POST", f"{repository}/load", "Look at the registry again and load", load, change, api.load),
        ("POST", f"{repository}/unload", "Drop all versions", load, change, api.unload),
        ("GET", "/health", "Whether the process answers", None, documents.HealthAnswer, api.health),
    )
    return [
        AdminRoute(Operation(method, path, summary, request, answer), endpoint)
        for method, path, summary, request, answer, endpoint in rows
    ]


class AdminApi:
    """The endpoints. Holds nothing of its own; state is the reconciler's.

    `predict_url` is where the data plane answers.
    """

    def __init__(self, reconciler: Reconciler, cache: VersionCache, logger: Logger, predict_url: str) -> None:
        self.flow = TrafficApi(reconciler)
        self._predict_url = predict_url
        self._reconciler = reconciler
        self._cache = cache
        self._logger = logger

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """Return `endpoint` with every error turned into an answer."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except (GatewayError, ModelError, FeatureError) as error:
                return _refusal(error)
            except OSError as error:
                self._logger.error("admin_request_failed", path=request.scope["path"], error=repr(error))
                return _refusal(StateUnusable(f"the state directory cannot be used: {error.strerror}"))
            except Exception as error:  # the edge of the API: nothing of it reaches the client
                self._logger.error("admin_request_failed", path=request.scope["path"], error=repr(error))
                return _refusal(error)

        return answer

    async def refuse_path(self, request: Request, error: Exception) -> Response:
        """Answer what has no route."""
        wrong_method = isinstance(error, HTTPException) and error.status_code == 405
        return _refusal(MethodNotAllowed("Method Not Allowed") if wrong_method else NotFound("Not Found"))

    async def health(self, request: Request) -> Response:
        """Say that the process answers."""
        return self._answer(documents.HealthAnswer(live=True))

    async def models(self, request: Request) -> Response:
        """Answer the models that one may see; problems of the registry are for those who may see all."""
        seen = may_see(request)
        reports = tuple(one for one in self._reports() if seen(one.name))
        return self._answer(documents.ModelsAnswer(reports, self._registry_problems() if seen(EVERY) else ()))

    async def model(self, request: Request) -> Response:
        """Answer one model."""
        return self._answer(self._report(request.path_params["model"]))

    async def state(self, request: Request) -> Response:
        """Answer the newest generation, what each slot says, and what is wrong."""
        health, facts = self._reconciler.health, self._reconciler.facts()
        problems = [*self._registry_problems()]
        problems += [f"{report.name}: {problem}" for report in self._reports() for problem in report.problems]
        loop = documents.LoopHealth(health.failures, health.last_failure)
        desired = _without_salts(self._reconciler.desired)
        return self._answer(documents.StateAnswer(desired, facts.slots, tuple(problems), loop))

    async def example(self, request: Request) -> Response:
        """Answer rows that the model takes: the examples it was published with, else made up."""
        name = request.path_params["model"]
        report = self._report(name)
        version = report.labels.get("stable", report.labels.get("latest", 0))
        model, manifest = (
            self._reconciler.desired.models.get(name),
            self._reconciler.facts().manifest(name, version),
        )
        held = model.held_version(version) if model else None
        if held is None or manifest is None:
            raise NotFound(f"{name} has no version that is loaded")
        rows = example_rows(self._cache.path(held.digest), manifest, EXAMPLE_ROWS)
        return self._answer(documents.ExampleAnswer(self._predict_url, name, version, tuple(rows)))

    async def shadow(self, request: Request) -> Response:
        """Copy calls to a version whose answers nobody waits for, or stop that."""
        wanted = await read_body(request, documents.ShadowRequest)
        share_ppm = changes.percent_as_ppm(str(wanted.version), wanted.percent)
        return await move(self._reconciler, request, lambda it: set_shadow(it, wanted.version, share_ppm))

    async def repository_index(self, request: Request) -> Response:
        """Answer every version as the Open Inference Protocol lists them."""
        wanted = await read_body(request, documents.IndexRequest)
        rows = [row for report in self._reports() for row in _index_rows(report)]
        return self._answer([row for row in rows if not wanted.ready or row.state == "READY"])

    async def load(self, request: Request) -> Response:
        """Look at the registry again, load the model's versions and wait until every worker has them."""
        await read_body(request, documents.LoadRequest)
        name, patience_s = request.path_params["model"], wait_seconds(request)
        await looked_again(self._reconciler, patience_s)
        self._reconciler.retry(name)
        submit(self._reconciler, request, changes.load)
        return self._changed(name, await loaded(self._reconciler, name, patience_s))

    async def unload(self, request: Request) -> Response:
        """Drop all versions of a model; one with traffic needs `force`."""
        wanted = await read_body(request, documents.LoadRequest)
        submit(self._reconciler, request, lambda it: changes.unload(it, wanted.parameters.force))
        return self._changed(request.path_params["model"], "committed")

    def _changed(self, name: str, outcome: Outcome) -> Response:
        generation = self._reconciler.desired.generation
        answer = documents.ChangeAnswer(generation, outcome, self._report(name))
        return self._answer(answer, 202 if outcome == "pending" else 200)

    def _registry_problems(self) -> tuple[str, ...]:
        unavailable, registry = self._reconciler.registry.problem, self._reconciler.registry.snapshot
        return (*((unavailable,) if unavailable else ()), *(registry.problems if registry else ()))

    def _reports(self) -> tuple[ModelReport, ...]:
        facts, desired = self._reconciler.facts(), self._reconciler.desired
        checking = self._reconciler.checking
        return tuple(report_model(name, desired, facts, checking) for name in model_names(desired, facts))

    def _report(self, name: str) -> ModelReport:
        return report(self._reconciler, name)

    def _answer(self, document: object, status: int = 200) -> Response:
        return json_answer(self._reconciler, document, status)


def _refusal(error: Exception) -> Response:
    answer = error_answer(error)
    return Response(answer.body, answer.status, answer.text_headers())


def _index_rows(report: ModelReport) -> list[documents.IndexRow]:
    if not report.versions:
        return [documents.IndexRow(report.name, "UNAVAILABLE", reason="; ".join(report.problems))]
    return [
        documents.IndexRow(
            report.name,
            version.state,
            str(version.version),
            None if version.state == "READY" else version.reason,
        )
        for version in report.versions
    ]


def _without_salts(desired: DesiredState) -> DesiredState:
    """The salts decide who gets which version: nobody needs to be able to compute that beforehand."""
    models = {
        name: replace(model, split=replace(model.split, salt="", variant_salt=""))
        for name, model in desired.models.items()
    }
    return replace(desired, models=models)
