"""The data plane as one ASGI application; most predictions are answered before they get here."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftgate import __version__
from driftgate.features.errors import FeatureError
from driftgate.gateway.access.guards import Guard
from driftgate.gateway.access.route_scopes import need_of
from driftgate.gateway.errors import BadRequest, Forbidden, GatewayError, NotFound, NotServable
from driftgate.gateway.http.answers import CLOSE, error_answer
from driftgate.gateway.http.fixed_extensions import REFUSALS, STATES
from driftgate.gateway.http.small_bodies import read_small_body
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.exposition import counted
from driftgate.gateway.routing.table import ModelRoute
from driftgate.gateway.serving.asgi_predict import AsgiExchange, predict_over_asgi
from driftgate.gateway.serving.feature_push import FeaturePushApi
from driftgate.gateway.serving.plane_document import PlaneDocument
from driftgate.gateway.serving.predict import PredictPath
from driftgate.gateway.serving.relay import relay
from driftgate.gateway.serving.replica import Replica
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.serving.statistics import statistics_of
from driftgate.gateway.settings import Settings
from driftgate.gateway.wire import oip_documents as documents
from driftgate.gateway.wire.example_rows import example_rows
from driftgate.gateway.wire.openapi import DescribedModel

Handler = Callable[[Request], Any]


class DataPlane:
    """Answers everything on the prediction port of one worker."""

    def __init__(
        self, predict: PredictPath, replica: Replica, layout: StateLayout, settings: Settings, guard: Guard
    ) -> None:
        self._predict = predict
        self._others: ASGIApp = DataRoutes(replica, predict, layout, settings).application(guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] in self._predict.endpoints and scope["method"] == "POST":
            await predict_over_asgi(self._predict, scope, receive, send)
        elif self._predict.closing:
            await self._others(scope, receive, _closing(send))
        else:
            await self._others(scope, receive, send)

    def close_connections(self) -> None:
        """From now on ask every client to open its next connection elsewhere."""
        self._predict.closing = True


class DataRoutes:
    """The routes that do not predict: metadata, health, statistics, and what is refused with a reason."""

    def __init__(
        self, replica: Replica, predict: PredictPath, layout: StateLayout, settings: Settings
    ) -> None:
        self._replica = replica
        self._predict = predict
        self._layout = layout
        self._settings = settings
        self._document = PlaneDocument(self._described)
        self._pushes = FeaturePushApi(layout, settings.features)

    def application(self, guard: Guard) -> Starlette:
        """Return the application; slashes are never redirected, because clients do not follow.

        Raises UndeclaredScope for a route that does not say who may call it.
        """
        get, post = ["GET"], ["POST"]
        model = "/v2/models/{model}"
        routes: list[tuple[str, Handler, list[str]]] = [
            ("/v2", self.server, get),
            ("/v2/health/live", self.live, get),
            ("/v2/health/ready", self.ready, get),
            ("/v2/models", self.models, get),
            ("/v2/models/stats", self.all_statistics, get),
            (f"{model}/stats", self.statistics, get),
            (f"{model}/versions/{{version}}/stats", self.statistics, get),
            ("/v2/repository/index", self.repository_index, post),
            ("/v2/repository/models/{model}/{verb:path}", self.change, post),
            ("/openapi.json", self.openapi, get),
            ("/v1/features/{view}", self._pushes.push, post),
            *((path, _fixed(state), get) for path, state in STATES.items()),
            *((path, _refused(reason), post) for path, reason in REFUSALS.items()),
        ]
        for place in (model, f"{model}/versions/{{version}}"):
            routes += [
                (place, self.metadata, get),
                (f"{place}/ready", self.model_ready, get),
                (f"{place}/config", self.config, get),
                (f"{place}/infer", self.explain, post),
                (f"{place}/predict", self.explain, post),
            ]
        return Starlette(
            routes=[
                Route(path + slash, guard.before(need_of("data", methods[0], path), handler), methods=methods)
                for path, handler, methods in routes
                for slash in ("", "/")
            ],
            exception_handlers={
                HTTPException: _http_error,
                GatewayError: _error,
                FeatureError: _error,
                Exception: _error,
            },
        )

    async def server(self, request: Request) -> Response:
        """Name, version and extensions of this server."""
        return _json(documents.server_metadata(__version__))

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return _json(documents.live_body())

    async def ready(self, request: Request) -> Response:
        """The newest desired state is in force, and this worker is not leaving."""
        ready = self._replica.ready and not self._predict.closing
        return _json(documents.ready_body(ready), 200 if ready else 503)

    async def models(self, request: Request) -> Response:
        """Names of the models that can answer."""
        routes = self._replica.table.routes.values()
        return _json(documents.model_list(sorted(route.name for route in routes if route.versions)))

    async def metadata(self, request: Request) -> Response:
        """Inputs and outputs of a model, or of one of its versions."""
        route, served = self._find(request)
        one = "version" in request.path_params
        versions = (served.loaded.version,) if one else route.versions
        return _json(documents.model_metadata(served.loaded.manifest, versions))

    async def config(self, request: Request) -> Response:
        """The model's configuration as load tools read it."""
        route, served = self._find(request)
        workers = self._settings.server.workers
        return _json(documents.model_config(served.loaded.manifest, route.versions, workers))

    async def model_ready(self, request: Request) -> Response:
        """Whether the model, or this version of it, can answer; and why it does so without its features."""
        try:
            _, served = self._find(request)
        except GatewayError:
            return _json(documents.error_body("Model version not ready"), 400)
        features = self._replica.features
        degraded = features.trouble(served) if features else ""
        return _json(documents.model_ready_body(request.path_params["model"], True, degraded))

    async def explain(self, request: Request) -> Response:
        """Refuse a prediction whose path is not served; it is counted and logged like any other."""
        exchange = AsgiExchange(request.scope["path"])
        self._predict.open_raw(exchange, request.scope["headers"])
        if not exchange.answered.done():
            self._predict.refuse(exchange, self._reason(request))
        status, headers, body = await exchange.answered
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})

    def _reason(self, request: Request) -> GatewayError:
        """Say why a prediction path is not served: unknown, or known and not ready."""
        try:
            route, _ = self._find(request)
        except GatewayError as error:
            return error
        if route.entry is None:
            return NotServable(f"model '{route.name}' has no version with traffic yet")
        return NotFound("the model changed while the request came in; try again")

    async def all_statistics(self, request: Request) -> Response:
        """Cumulative statistics of every loaded version, over all workers."""
        return await self._statistics(None, None)

    async def statistics(self, request: Request) -> Response:
        """Cumulative statistics of one model or version, over all workers."""
        name = request.path_params["model"]
        try:
            _, served = self._find(request)
        except GatewayError as error:
            raise BadRequest(f"requested model '{name[:128]}' is not available") from error
        version = str(served.loaded.version) if "version" in request.path_params else None
        return await self._statistics(name, version)

    async def repository_index(self, request: Request) -> Response:
        """State of every version that this worker holds or is to hold."""
        only_ready = repository_filter(await read_small_body(request))
        entries = [
            documents.IndexEntry(item.model, item.version, item.state, item.reason)
            for item in self._replica.versions()
            if not only_ready or item.state == "READY"
        ]
        return _json(documents.repository_index(entries))

    async def change(self, request: Request) -> Response:
        """Loading and unloading are operators' business: passed on for those who show that they are."""
        server = self._settings.server
        if request.state.holder is None:
            raise Forbidden(
                f"models are loaded and unloaded on the admin port, {server.admin_port}, at this same path"
            )
        return await relay(request, await read_small_body(request), server)

    async def openapi(self, request: Request) -> Response:
        """OpenAPI of this plane, with the operations of every model."""
        entries = [route.entry.version for route in self._replica.table.routes.values() if route.entry]
        return _json(await self._document.of(entries))

    def _described(self, served: ServedVersion) -> DescribedModel:
        manifest = served.loaded.manifest
        return DescribedModel(manifest, example_rows(self._replica.directory(served), manifest))

    def _find(self, request: Request) -> tuple[ModelRoute[ServedVersion], ServedVersion]:
        route = self._replica.table.route(request.path_params["model"])
        if "version" in request.path_params:
            return route, route.explicit(request.path_params["version"]).version
        return route, (route.entry or route.explicit("latest")).version

    async def _statistics(self, model: str | None, version: str | None) -> Response:
        routes = self._replica.table.routes
        held = {(name, str(number)) for name, route in routes.items() for number in route.versions}
        versions, _ = await run_in_threadpool(counted, self._layout)
        chosen = [
            statistics_of(item)
            for item in versions
            if (item.model, item.version) in held
            and model in (None, item.model)
            and version in (None, item.version)
        ]
        return _json(documents.model_statistics(chosen))


def repository_filter(body: bytes) -> bool:
    """Return whether an index request asks for ready versions only; an empty body asks for all."""
    if not body.strip():
        return False
    try:
        return msgspec.json.decode(body, type=_IndexRequest).ready
    except msgspec.MsgspecError:
        raise BadRequest('the body must be empty or a JSON object such as {"ready": true}') from None


class _IndexRequest(msgspec.Struct):
    ready: bool = False


def _fixed(state: bytes) -> Handler:
    async def answer(request: Request) -> Response:
        return _json(state)

    return answer


def _refused(reason: str) -> Handler:
    async def refuse(request: Request) -> Response:
        raise Forbidden(reason)

    return refuse


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


async def _error(request: Request, error: Exception) -> Response:
    answer = error_answer(error)
    return Response(answer.body, answer.status, headers=answer.text_headers())


async def _http_error(request: Request, error: Exception) -> Response:
    """Not found and wrong method in the wording that clients of this protocol know."""
    code = error.status_code if isinstance(error, HTTPException) else 500
    text = "Method Not Allowed" if code == 405 else "Not Found"
    return _json(documents.error_body(text), code)


def _closing(send: Send) -> Send:
    async def close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), CLOSE]
        await send(message)

    return close
