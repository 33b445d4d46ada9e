"""The admin API's part for the settings of a model: what is in force, and replacing `model.toml`.

The file stays the single source: it is written first, whole, and then committed in the name of who asked.
"""

import asyncio
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.guards import who_asks
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.requests import expected_generation, read_body
from driftgate.gateway.control.changes import Subject
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.errors import BadRequest, NotFound, PreconditionFailed
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.desired import DesiredModel
from driftgate.gateway.wire.openapi import Operation
from driftgate.models.errors import InvalidSettings, RegistryUnavailable
from driftgate.models.registry.settings import ModelSettings, parse_settings, settings_differences
from driftgate.models.registry.settings_file import read_settings_text, write_settings
from driftgate.models.registry.snapshot import RegistryModel

MAX_WHY = 1000


class SettingsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole text of the new `model.toml`, and why it changes."""

    text: str
    why: str = ""


class SettingsAnswer(msgspec.Struct, frozen=True):
    """The settings in force; `broken` says that the file is not what is in force. `text` is the file's."""

    generation: int
    model: str
    settings: ModelSettings
    text: str | None
    broken: bool
    changed: tuple[str, ...] = ()


class SettingsApi:
    """The endpoints; `registry` is the directory of published versions."""

    def __init__(self, reconciler: Reconciler, registry: Path, logger: Logger) -> None:
        self._reconciler = reconciler
        self._registry = registry
        self._logger = logger
        self._one_by_one = asyncio.Lock()

    async def show(self, request: Request) -> Response:
        """Answer the settings of a model that are in force."""
        name = request.path_params["model"]
        return self._answer(name, self._published(name))

    async def put(self, request: Request) -> Response:
        """Replace a model's file and commit what it says."""
        wanted = await read_body(request, SettingsRequest)
        if len(wanted.why) > MAX_WHY:
            raise BadRequest(f"the reason has more than {MAX_WHY} characters")
        name, who = request.path_params["model"], who_asks(request)
        try:
            settings = parse_settings(wanted.text)
        except InvalidSettings as error:
            raise BadRequest(str(error)) from error
        async with self._one_by_one:  # who waited here for somebody else's change is told of it
            published, before = self._published(name), self._in_force(name)
            self._check_generation(request)
            if published.settings != settings or before != settings:
                await self._write(published, settings, wanted.text)
                self._logger.info("settings_written", model=name, who=who, why=wanted.why)
                self._reconciler.submit(name, who, _as_it_is, why=wanted.why)
        changed = tuple(map(str, settings_differences(before, settings)))
        return self._answer(name, self._published(name), changed)

    async def _write(self, published: RegistryModel, settings: ModelSettings, text: str) -> None:
        def write() -> RegistryModel:
            write_settings(self._registry, published.name, text)
            problems = {version: why for version, why in published.problems.items() if version}
            return RegistryModel(published.name, published.versions, settings, problems)

        await self._reconciler.registry.amend(write)

    def _check_generation(self, request: Request) -> None:
        expected, newest = expected_generation(request), self._reconciler.desired.generation
        if expected not in (None, newest):
            raise PreconditionFailed(f"the newest generation is {newest}, not {expected}: decide again")

    def _published(self, name: str) -> RegistryModel:
        facts = self._reconciler.facts()
        if facts.registry is None:
            problem = self._reconciler.registry.problem
            raise RegistryUnavailable(problem or "the registry has not been looked at yet; try again")
        published = facts.published(name)
        if published is None:
            raise NotFound(f"the registry has no model {name[:140]!r}: publish a version of it first")
        return published

    def _in_force(self, name: str) -> ModelSettings:
        model = self._reconciler.desired.models.get(name)
        return model.settings if model else ModelSettings()

    def _answer(self, name: str, published: RegistryModel, changed: tuple[str, ...] = ()) -> Response:
        generation, settings = self._reconciler.desired.generation, self._in_force(name)
        text = read_settings_text(self._registry, name)
        broken = published.settings != settings
        answer = SettingsAnswer(generation, name, settings, text, broken, changed)
        etag = {"etag": f'"{generation}"'}
        return Response(msgspec.json.encode(answer), 200, etag, "application/json")


def settings_routes(api: SettingsApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    path = "/api/models/{model}/settings"
    return [
        AdminRoute(Operation("GET", path, "Settings in force", None, SettingsAnswer), api.show),
        AdminRoute(Operation("PUT", path, "Replace model.toml", SettingsRequest, SettingsAnswer), api.put),
    ]


def _as_it_is(subject: Subject) -> DesiredModel:
    """Ask for nothing else: what the registry says is taken over with every step."""
    return subject.model
