"""The admin API: what operators and their tools see of models and may change, on its own port.

Changing calls answer when the change is in force or has failed. The ETag of every answer is the generation.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from driftgate.gateway import admin_requests as requests
from driftgate.gateway import changes
from driftgate.gateway.answers import error_answer
from driftgate.gateway.changes import Subject
from driftgate.gateway.desired import DesiredModel, DesiredState, TrafficSplit
from driftgate.gateway.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound, PreconditionFailed
from driftgate.gateway.generations import StaleGeneration
from driftgate.gateway.logs import Logger
from driftgate.gateway.model_report import ModelReport, model_names, report_model
from driftgate.gateway.pending import change_ended, loaded, looked_again
from driftgate.gateway.reconciler import Reconciler
from driftgate.models.cache import VersionCache
from driftgate.models.columns import rows_from_feeds
from driftgate.models.errors import ModelError
from driftgate.models.examples import first_rows, load_examples
from driftgate.models.manifest import EXAMPLES_FILE

EXAMPLE_ROWS = 2
LOAD_PARAMETERS = frozenset({"unload_dependents", "force"})

Endpoint = Callable[[Request], Awaitable[Response]]
Ask = Callable[[Subject], DesiredModel]


def admin_app(reconciler: Reconciler, cache: VersionCache, logger: Logger) -> Starlette:
    """Return the admin API as an ASGI application."""
    api = AdminApi(reconciler, cache, logger)
    routes = [
        _route("/api/models", api.models, "GET"),
        _route("/api/models/{model}", api.model, "GET"),
        _route("/api/models/{model}/example", api.example, "GET"),
        _route("/api/models/{model}/promote", api.promote, "POST"),
        _route("/api/models/{model}/traffic", api.traffic, "PUT"),
        _route("/api/models/{model}/rollback", api.rollback, "POST"),
        _route("/api/models/{model}/pin", api.pin, "POST"),
        _route("/api/models/{model}/unpin", api.unpin, "POST"),
        _route("/api/state", api.state, "GET"),
        _route("/v2/repository/index", api.repository_index, "POST"),
        _route("/v2/repository/models/{model}/load", api.load, "POST"),
        _route("/v2/repository/models/{model}/unload", api.unload, "POST"),
        _route("/health", api.health, "GET"),
    ]
    return Starlette(
        routes=[Route(path, api.guarded(endpoint), methods=[method]) for path, endpoint, method in routes],
        exception_handlers={HTTPException: api.refuse_path},
    )


def _route(path: str, endpoint: Endpoint, method: str) -> tuple[str, Endpoint, str]:
    return path, endpoint, method


class AdminApi:
    """The endpoints. Holds nothing of its own; state is the reconciler's."""

    def __init__(self, reconciler: Reconciler, cache: VersionCache, logger: Logger) -> None:
        self._reconciler = reconciler
        self._cache = cache
        self._logger = logger

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """Return `endpoint` behind the origin check, with every error turned into an answer."""

        async def answer(request: Request) -> Response:
            try:
                requests.check_origin(request)
                return await endpoint(request)
            except (GatewayError, ModelError) as error:
                return self._refusal(error)
            except Exception as error:  # the edge of the API: nothing of it reaches the client
                self._logger.error("admin_request_failed", path=request.url.path, error=repr(error))
                return self._refusal(error)

        return answer

    async def refuse_path(self, request: Request, error: Exception) -> Response:
        """Answer what has no route."""
        wrong_method = isinstance(error, HTTPException) and error.status_code == 405
        return self._refusal(
            MethodNotAllowed("Method Not Allowed") if wrong_method else NotFound("Not Found")
        )

    async def health(self, request: Request) -> Response:
        """Say that the process answers, and how its loop fares."""
        return self._answer({"live": True, "failures": self._reconciler.health.failures})

    async def models(self, request: Request) -> Response:
        """Answer all models."""
        return self._answer({"models": self._reports()})

    async def model(self, request: Request) -> Response:
        """Answer one model."""
        return self._answer(self._report(request.path_params["model"]))

    async def state(self, request: Request) -> Response:
        """Answer the newest generation, what each slot says, and what is wrong."""
        health, facts = self._reconciler.health, self._reconciler.facts()
        problems = [health.registry_problem] if health.registry_problem else []
        problems += facts.registry.problems if facts.registry else ()
        problems += [f"{report.name}: {problem}" for report in self._reports() for problem in report.problems]
        document = {
            "desired": _without_salts(self._reconciler.desired),
            "slots": facts.slots,
            "problems": problems,
            "control": {"failures": health.failures, "last_failure": health.last_failure},
        }
        return self._answer(document)

    async def example(self, request: Request) -> Response:
        """Answer rows that the model takes, from the examples it was published with."""
        name = request.path_params["model"]
        report = self._report(name)
        version = report.labels.get("stable", report.labels.get("latest"))
        facts = self._reconciler.facts()
        manifest = None if version is None else facts.manifest(name, version)
        held = self._reconciler.desired.models[name].held_version(version) if manifest and version else None
        if held is None or manifest is None:
            raise NotFound(f"{name} has no version that is loaded")
        if manifest.golden is None:
            raise NotFound(f"version {version} of {name} was published without examples")
        inputs, _ = load_examples(self._cache.path(held.digest) / EXAMPLES_FILE)
        rows = rows_from_feeds(manifest, first_rows(inputs, EXAMPLE_ROWS))
        return self._answer({"model": name, "version": version, "rows": rows})

    async def promote(self, request: Request) -> Response:
        """Give one version all traffic."""
        body = await requests.read_object(request)
        requests.check_keys(body, frozenset({"version", "force"}))
        version, force = body.get("version"), requests.flag(body, "force")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise BadRequest('give the version to promote as a positive whole number: {"version": 2}')
        return await self._move(request, lambda subject: changes.promote(subject, version, force))

    async def traffic(self, request: Request) -> Response:
        """Split the traffic among versions."""
        body = await requests.read_object(request)
        requests.check_keys(body, frozenset({"arms", "weights_ppm"}))
        if len(body) != 1:
            raise BadRequest('give either {"arms": {"7": 90, "8": 10}} in percent or "weights_ppm"')
        key, arms = next(iter(body.items()))
        if not isinstance(arms, dict) or not arms:
            raise BadRequest(f"{key!r} must be an object of versions and their weights")
        read = changes.weights_from_percent if key == "arms" else changes.weights_from_ppm
        weights = read(arms)
        return await self._move(request, lambda subject: changes.set_traffic(subject, weights))

    async def rollback(self, request: Request) -> Response:
        """Go back to the last version that had all traffic, and pin it."""
        requests.check_keys(await requests.read_object(request), frozenset())
        return await self._move(request, changes.rollback)

    async def pin(self, request: Request) -> Response:
        """Keep the traffic where it is, whatever the policy says."""
        requests.check_keys(await requests.read_object(request), frozenset())
        return await self._move(request, changes.pin)

    async def unpin(self, request: Request) -> Response:
        """Let the policy move the traffic again."""
        requests.check_keys(await requests.read_object(request), frozenset())
        return await self._move(request, changes.unpin)

    async def repository_index(self, request: Request) -> Response:
        """Answer every version as the Open Inference Protocol lists them."""
        only_ready = requests.flag(await requests.read_object(request), "ready")
        rows = [row for report in self._reports() for row in _index_rows(report)]
        return self._answer([row for row in rows if not only_ready or row["state"] == "READY"])

    async def load(self, request: Request) -> Response:
        """Look at the registry again, load the model's versions and wait until every worker has them."""
        await self._parameters(request)
        name, patience_s = request.path_params["model"], requests.wait_seconds(request)
        await looked_again(self._reconciler, patience_s)
        self._reconciler.retry(name)
        self._submit(request, changes.load)
        outcome = await loaded(self._reconciler, name, patience_s) if patience_s else "pending"
        return self._changed(name, outcome)

    async def unload(self, request: Request) -> Response:
        """Drop all versions of a model; one with traffic needs `force`."""
        force = requests.flag(await self._parameters(request), "force")
        self._submit(request, lambda subject: changes.unload(subject, force))
        return self._changed(request.path_params["model"], "committed")

    async def _parameters(self, request: Request) -> Mapping[str, Any]:
        parameters = (await requests.read_object(request)).get("parameters", {})
        if not isinstance(parameters, dict):
            raise BadRequest("'parameters' must be an object")
        requests.check_keys(parameters, LOAD_PARAMETERS)
        return parameters

    async def _move(self, request: Request, ask: Ask) -> Response:
        name, patience_s = request.path_params["model"], requests.wait_seconds(request)
        self._submit(request, ask)
        return self._changed(name, await change_ended(self._reconciler, name, patience_s))

    def _submit(self, request: Request, ask: Ask) -> None:
        who = f"admin-api@{request.client.host if request.client else 'unknown'}"
        expected = requests.expected_generation(request)
        try:
            self._reconciler.submit(request.path_params["model"], who, ask, expected)
        except StaleGeneration as error:
            raise PreconditionFailed(
                f"{error}: read the model again and repeat what still makes sense"
            ) from error

    def _changed(self, name: str, outcome: str) -> Response:
        document = {
            "generation": self._reconciler.desired.generation,
            "state": outcome,
            "model": self._report(name),
        }
        return self._answer(document, 202 if outcome == "pending" else 200)

    def _reports(self) -> list[ModelReport]:
        facts, desired = self._reconciler.facts(), self._reconciler.desired
        checking = self._reconciler.checking
        return [report_model(name, desired, facts, checking) for name in model_names(desired, facts)]

    def _report(self, name: str) -> ModelReport:
        facts, desired = self._reconciler.facts(), self._reconciler.desired
        if name not in model_names(desired, facts):
            raise NotFound(f"there is no model {name[:140]!r}")
        return report_model(name, desired, facts, self._reconciler.checking)

    def _answer(self, document: object, status: int = 200) -> Response:
        etag = {"etag": f'"{self._reconciler.desired.generation}"'}
        return Response(msgspec.json.encode(document), status, etag, "application/json")

    def _refusal(self, error: Exception) -> Response:
        answer = error_answer(error)
        return Response(answer.body, answer.status, media_type="application/json")


def _index_rows(report: ModelReport) -> list[dict[str, str]]:
    if not report.versions:
        return [{"name": report.name, "state": "UNAVAILABLE", "reason": "; ".join(report.problems)}]
    rows = []
    for version in report.versions:
        row = {"name": report.name, "version": str(version.version), "state": version.state}
        rows.append(row if version.state == "READY" else row | {"reason": version.reason})
    return rows


def _without_salts(desired: DesiredState) -> DesiredState:
    """The salts decide who gets which version: nobody needs to be able to compute that beforehand."""
    models = {
        name: msgspec.structs.replace(model, split=TrafficSplit("", model.split.arms))
        for name, model in desired.models.items()
    }
    return msgspec.structs.replace(desired, models=models)
