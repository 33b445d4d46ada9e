"""A worker's copy of the desired state: reads new generations, loads versions, swaps the table in whole.

A table comes into force only when every version that it gives weight is loaded, or has failed to load and
said so. Versions come from the verified cache, never from the registry.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.niceness import be_nice
from driftgate.gateway.routing.table import ModelRoute, RoutingTable
from driftgate.gateway.serving.served import ServedVersion, Shadowing
from driftgate.gateway.serving.stored_features import StoredFeatures
from driftgate.gateway.state.counters import CounterFile
from driftgate.gateway.state.desired import DesiredModel, DesiredState, UnreadableState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.status import VersionStatus
from driftgate.models.errors import LoadError, ModelError
from driftgate.models.registry.cache import VersionCache
from driftgate.models.run.loaded import LoadedVersion
from driftgate.models.schema.manifest import MANIFEST_FILE, Manifest, decode_manifest

Table = RoutingTable[ServedVersion]

RETRY_FIRST_S = 1.0
FEATURES_AGAIN_S = 1.0
"""How often a version that lacks stored features is tried; nothing of it is loaded before they are there."""
RETRY_MOST_S = 60.0


@dataclass(frozen=True)
class _Failure:
    reason: str
    attempts: int
    retry_at: float


class Replica:
    """What one worker holds. All methods run on the event loop; only `LoadedVersion.load` runs in a thread.

    `on_swap(table)` is called after each swap and `on_unload(served)` once a version's session is freed.
    `features` is what completes the rows of versions that read stored features; None: they cannot be served.
    """

    def __init__(
        self, store: GenerationStore, cache: VersionCache, counters: CounterFile, logger: Logger, threads: int
    ) -> None:
        self._store = store
        self._cache = cache
        self._counters = counters
        self._logger = logger
        self._threads = threads
        self._wanted: DesiredState | None = None
        self._held: dict[str, ServedVersion] = {}
        self._failed: dict[str, _Failure] = {}
        self._loading: set[str] = set()
        self._unloading: dict[str, ServedVersion] = {}
        self._looked_at = 0.0
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader", initializer=be_nice)
        self._tasks: set[asyncio.Task[None]] = set()
        self.unknown = counters.of("", "")
        self.table: Table = RoutingTable(0, {})
        self.features: StoredFeatures | None = None
        self.on_swap: Callable[[Table], None] = lambda table: None
        self.on_unload: Callable[[ServedVersion], None] = lambda served: None

    @property
    def ready(self) -> bool:
        """Whether the newest generation that was read is in force."""
        return self._wanted is not None and self._wanted.generation == self.table.generation

    def current(self, patience_s: float) -> Table:
        """Return the table in force, after another look if the last one is older than `patience_s`.

        A generation that cannot be read changes nothing; whoever looks regularly says so.
        """
        now = time.monotonic()
        if now - self._looked_at > patience_s:
            with suppress(UnreadableState):
                self.look(now)
        return self.table

    def look(self, now: float) -> None:
        """Read generations that have come since the last look and put them into force where possible.

        Raises UnreadableState if the newest one cannot be read.
        """
        self._looked_at = now
        generation = newest = self._wanted.generation if self._wanted else self._store.newest_number()
        while self._store.exists(newest + 1):
            newest += 1
        if newest and (self._wanted is None or newest > generation):
            self._wanted = self._store.read(newest)
        if self.features is not None:
            self.features.follow(self._held.values())
        self._converge(now)

    def directory(self, served: ServedVersion) -> Path:
        """Return where the files of a loaded version are."""
        return self._cache.path(served.loaded.digest)

    def versions(self) -> tuple[VersionStatus, ...]:
        """Return what this worker holds, loads, frees or could not load."""
        wanted = self._wanted
        rows = [
            self._status(name, held.version, held.digest)
            for name, model in (wanted.models if wanted else {}).items()
            for held in model.held
        ]
        leaving = [
            VersionStatus(served.loaded.model, served.loaded.version, digest, "UNLOADING")
            for digest, served in self._unloading.items()
        ]
        return (*rows, *leaving)

    def _status(self, model: str, version: int, digest: str) -> VersionStatus:
        if digest in self._held:
            return VersionStatus(model, version, digest, "READY")
        if digest in self._failed and digest not in self._loading:
            return VersionStatus(model, version, digest, "UNAVAILABLE", self._failed[digest].reason)
        return VersionStatus(model, version, digest, "LOADING")

    def _converge(self, now: float) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        for digest in (*wanted.digests_with_weight, *wanted.digests):
            if self._may_load(digest, now):
                self._start_loading(digest)
        if wanted.generation != self.table.generation and not self._waits_for(wanted):
            self._swap(wanted)

    def _may_load(self, digest: str, now: float) -> bool:
        if digest in self._held or digest in self._loading or digest in self._unloading:
            return False
        failure = self._failed.get(digest)
        return failure is None or now >= failure.retry_at

    def _waits_for(self, wanted: DesiredState) -> bool:
        return bool(wanted.digests_with_weight - self._held.keys() - self._failed.keys())

    def _start_loading(self, digest: str) -> None:
        self._loading.add(digest)
        task = asyncio.get_running_loop().create_task(self._load(digest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self, digest: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            path = self._cache.path(digest)
            reason = self._missing_features(await loop.run_in_executor(self._loader, cached_manifest, path))
            if reason is not None:
                self._note_failure(digest, reason, FEATURES_AGAIN_S)
                return
            loaded = await loop.run_in_executor(self._loader, LoadedVersion.load, path, self._threads)
            self._note_loaded(digest, loaded)
        except ModelError as error:
            self._note_failure(digest, str(error))
        except Exception as error:  # a task's edge: whatever happens is a reason that is shown
            self._note_failure(digest, f"loading it failed unexpectedly ({type(error).__name__})")
        finally:
            self._loading.discard(digest)
        self._converge(time.monotonic())

    def _missing_features(self, manifest: Manifest) -> str | None:
        if manifest.features is None:
            return None
        return self.features.missing(manifest) if self.features else "this process reads no stored features"

    def _note_failure(self, digest: str, reason: str, wait_s: float | None = None) -> None:
        before = self._failed.get(digest)
        attempts = before.attempts + 1 if before else 1
        if wait_s is None:
            wait_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** (attempts - 1))
        elif before is not None and before.reason == reason:
            self._failed[digest] = replace(before, retry_at=time.monotonic() + wait_s)
            return
        self._failed[digest] = _Failure(reason, attempts, time.monotonic() + wait_s)
        self._logger.warning("version_load_failed", digest=digest, reason=reason, retry_in_s=wait_s)

    def _note_loaded(self, digest: str, loaded: LoadedVersion) -> None:
        plan = self.features.plan(loaded.manifest) if self.features else None
        self._failed.pop(digest, None)
        counters = self._counters.of(loaded.model, str(loaded.version))
        self._held[digest] = ServedVersion(loaded, counters, plan)
        self._logger.info("version_loaded", model=loaded.model, version=loaded.version, digest=digest)
        if self.table.generation:
            self._show(self.table.generation)
            self._unload_unwanted()

    def _swap(self, wanted: DesiredState) -> None:
        self._show(wanted.generation)
        self._unload_unwanted()
        self._logger.info("generation_in_force", generation=wanted.generation, why=wanted.why)

    def _show(self, generation: int) -> None:
        """Put a table in force whose splits are those of `generation` and whose versions are those loaded."""
        wanted = self._wanted
        if wanted is None or wanted.generation != generation:
            return
        self.table = RoutingTable(
            generation,
            {name: self._route(name, model, generation) for name, model in wanted.models.items()},
        )
        self.on_swap(self.table)

    def _route(self, name: str, model: DesiredModel, generation: int) -> ModelRoute[ServedVersion]:
        loaded = {h.version: self._held[h.digest] for h in model.held if h.digest in self._held}
        for version, served in loaded.items():
            served.apply(model.settings)
            served.shadows = shadows_of(version, model, loaded)
        return ModelRoute(name, model.split, loaded, generation, model.ejected_versions)

    def _unload_unwanted(self) -> None:
        """Drop what the table in force does not hold; it may have been dropped while it was being loaded."""
        wanted = self._wanted
        if wanted is None or wanted.generation != self.table.generation:
            return
        keep = wanted.digests
        for digest in self._held.keys() - keep:
            self._unload(digest)
        self._failed = {digest: why for digest, why in self._failed.items() if digest in keep}

    def _unload(self, digest: str) -> None:
        served = self._held.pop(digest)
        served.shadows = ()
        self._unloading[digest] = served
        loop = asyncio.get_running_loop()

        def on_free() -> None:
            loop.call_soon_threadsafe(self._freed, digest)

        served.loaded.retire(on_free)

    def _freed(self, digest: str) -> None:
        served = self._unloading.pop(digest)
        self.on_unload(served)
        self._logger.info("version_unloaded", model=served.loaded.model, version=served.loaded.version)


def cached_manifest(directory: Path) -> Manifest:
    """Return the manifest in a cache directory; raise LoadError if it cannot be read, InvalidManifest."""
    try:
        return decode_manifest((directory / MANIFEST_FILE).read_bytes())
    except OSError as error:
        raise LoadError(f"the cached copy cannot be read: {error.strerror}") from error


def shadows_of(version: int, model: DesiredModel, loaded: dict[int, ServedVersion]) -> tuple[Shadowing, ...]:
    """Return the loaded versions that get a copy of the rows of `version`: none unless that has traffic."""
    if version not in model.split.versions:
        return ()
    return tuple(
        Shadowing(loaded[shadow.version], shadow.share_ppm)
        for shadow in model.shadows
        if shadow.version in loaded
        and shadow.version != version
        and shadow.version not in model.ejected_versions
    )
