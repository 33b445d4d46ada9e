"""A control loop on real files, with workers that only say what a worker would say."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from starlette.applications import Starlette

from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.gateway.admin.access import AdminAccess
from driftgate.gateway.admin.api import AdminApi, admin_app
from driftgate.gateway.admin.process import present_slots
from driftgate.gateway.admin.settings import SettingsApi, settings_routes
from driftgate.gateway.admin.uploads import UploadsApi, upload_routes
from driftgate.gateway.control.evidence import EvidenceKeeper
from driftgate.gateway.control.facts import Limits
from driftgate.gateway.control.feature_views import FeatureViewWatcher
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.control.surroundings import Clocks, Surroundings
from driftgate.gateway.control.verifier import Verifier
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.desired import DesiredModel
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import beat_path, write_status
from driftgate.gateway.state.status import SlotStatus, VersionStatus
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.remote.downloads import Downloads
from driftgate.models.remote.uploaded_manifest import UploadLimits
from driftgate.models.remote.uploads import Uploads
from driftgate.models.run.probation import ProbationReport

POLL_S = 0.05
WITHIN_S = 30.0
STALE_AFTER_S = 5.0
ADMIN_URL = "http://127.0.0.1:8090"
UPLOADS = UploadLimits(max_file_bytes=2**24, max_version_bytes=2**25, max_open=2, keep_s=3600)

Prove = Callable[[Path], ProbationReport]
Publish = Callable[..., Published]

T = TypeVar("T")


@dataclass
class PaperWorker:
    """A slot whose files are real and whose models are not: it says READY for all that is held."""

    layout: StateLayout
    number: int
    cannot_load: set[int] = field(default_factory=set)
    boots: int = 0

    def __post_init__(self) -> None:
        self.layout.slot(self.number).mkdir(parents=True, exist_ok=True)
        path = beat_path(self.layout, self.number)
        self.beat = Beat.create(path, self.boot, 1, time.monotonic_ns())
        self.beat.state = BeatState.ACCEPTING

    @property
    def boot(self) -> str:
        """New for every incarnation."""
        return f"{self.number}.{self.boots}"

    def follow(self) -> None:
        """Put the newest generation into force and say so."""
        newest = GenerationStore(self.layout.desired).newest()
        if newest is None:
            return
        state, _ = newest
        if self.boot in state.retired_boots:
            self.boots += 1
            self.__post_init__()
        versions = tuple(
            VersionStatus(
                name,
                held.version,
                held.digest,
                "UNAVAILABLE" if held.version in self.cannot_load else "READY",
            )
            for name, model in state.models.items()
            for held in model.held
        )
        status = SlotStatus(self.number, self.boot, 1, state.generation, True, versions)
        self.beat.pulse(time.monotonic_ns(), state.generation, 0, 0)
        write_status(self.layout, status)


@dataclass
class ControlRoom:
    """One running control loop, its paper workers, and its admin API."""

    root: Path
    layout: StateLayout
    loop: Reconciler
    client: httpx.AsyncClient
    workers: list[PaperWorker]
    app: Starlette

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Let the workers follow until `condition` holds; fail with `what` if it does not in time."""
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {WITHIN_S} s: {what}; {self.loop.desired}")
            for worker in self.workers:
                worker.follow()
            await asyncio.sleep(0.005)

    def model(self, name: str = "m") -> DesiredModel:
        """What the newest generation says of a model; empty before it is known."""
        return self.loop.desired.models[name]

    def held(self, name: str = "m") -> list[int]:
        """The versions that are held."""
        model = self.loop.desired.models.get(name)
        return [held.version for held in model.held] if model else []

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Call the admin API while the workers follow."""
        request = self.client.request(method, path, json=body, headers=headers)
        return await self.following(request, f"an answer to {method} {path}")

    async def following(self, work: Coroutine[Any, Any, T], what: str) -> T:
        """Return what `work` returns; the workers follow until it is done."""
        task = asyncio.create_task(work)
        await self.until(task.done, what)
        return task.result()

    async def hold_two(self, publish: Publish) -> None:
        """Publish version 1 of `m`, which gets all traffic, and version 2, which answers twice as much."""
        publish()
        await self.until(lambda: self.held() == [1], "version 1")
        publish(scale=2.0)
        await self.until(lambda: self.held() == [1, 2], "version 2")


def passes(directory: Path) -> ProbationReport:
    """Prove nothing: for tests that are not about probation."""
    return ProbationReport(ok=True, rss_bytes=2**20)


Scene = Callable[[ControlRoom], Awaitable[None]]


@asynccontextmanager
async def control_room(
    root: Path,
    workers: int = 0,
    prove: Prove = passes,
    prepare_timeout_s: float = 60.0,
    memory_bytes: int = 2**40,
) -> AsyncIterator[ControlRoom]:
    """Run a control loop on `root`/registry and `root`/state until the block ends."""
    layout = StateLayout(root / "state")
    layout.desired.mkdir(parents=True, exist_ok=True)
    logger = Logger("control", stream=BytesIO())
    cache, registry = VersionCache(layout.cache), root / "registry"
    world = Surroundings(
        store=GenerationStore(layout.desired),
        registry=DirectoryRegistry(registry),
        cache=cache,
        verifier=Verifier(DirectoryRegistry(registry), cache, prove, logger),
        slots=partial(present_slots, layout, STALE_AFTER_S),
        logger=logger,
        evidence=EvidenceKeeper(layout).look,
    )
    limits = Limits(max(1, workers), memory_bytes, prepare_timeout_s)
    loop = Reconciler(world, limits, POLL_S, Clocks(time.time, time.monotonic))
    views = FeatureViewWatcher(registry, layout.feature_views, LmdbFeatureStore(layout.features), logger)
    world.verifier.missing = views.missing
    uploads = UploadsApi(Uploads(registry, UPLOADS), Downloads(registry), views, logger, loop.registry.rescan)
    api = AdminApi(loop, cache, logger, "http://127.0.0.1:8000")
    settings = SettingsApi(loop, registry, logger)
    app = admin_app(api, AdminAccess(), [*upload_routes(uploads), *settings_routes(settings)])
    transport = httpx.ASGITransport(app=app)
    running = asyncio.create_task(loop.run(lambda generation: None))
    async with httpx.AsyncClient(transport=transport, base_url=ADMIN_URL, timeout=WITHIN_S) as client:
        paper = [PaperWorker(layout, number) for number in range(workers)]
        try:
            yield ControlRoom(root, layout, loop, client, paper, app)
        finally:
            await loop.stop()
            await running


def play(root: Path, scene: Scene, **options: Any) -> None:
    """Run a control room, with the options of `control_room`, for as long as `scene` lasts."""

    async def run() -> None:
        async with control_room(root, **options) as room:
            await scene(room)

    asyncio.run(run())
