"""Gets published versions into the cache and proves them there, a few at a time; what fails is tried again.

All methods run on the event loop; copying and probation run in threads and a child process.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from driftgate.gateway.control.facts import Verified, VersionKey
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.desired import DesiredState
from driftgate.models.errors import InvalidManifest, LoadError, ModelError, RegistryError, UnsafeFile
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.snapshot import PublishedVersion, RegistrySnapshot, RegistrySource
from driftgate.models.run.memory import bytes_in_worker
from driftgate.models.run.probation import ProbationReport
from driftgate.models.schema.manifest import MANIFEST_FILE, Manifest, decode_manifest

AT_ONCE = 2
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
FEATURES_AGAIN_S = 1.0
"""How often a version that lacks stored features is looked at; nothing is copied before they are there."""
DOUBT_AGAIN_S = 60.0
"""How often a cached copy that a worker cannot load is hashed again."""


@dataclass(frozen=True)
class Failure:
    """Why a version is not verified, how often it was tried, and when (monotonic) it is tried next."""

    digest: str
    reason: str
    attempts: int
    retry_at: float


class Verifier:
    """What is known of each version of this registry and cache. Lives as long as the control process.

    `missing` says why a version cannot have the stored features that it reads, None if it can.
    """

    def __init__(
        self,
        source: RegistrySource,
        cache: VersionCache,
        prove: Callable[[Path], ProbationReport],
        logger: Logger,
    ) -> None:
        self._source = source
        self._cache = cache
        self._prove = prove
        self._logger = logger
        self._failures: dict[VersionKey, Failure] = {}
        self._running: dict[VersionKey, asyncio.Task[None]] = {}
        self._digests: dict[VersionKey, str] = {}
        self._doubted: dict[VersionKey, float] = {}
        self.verified: dict[VersionKey, Verified] = {}
        self.missing: Callable[[Manifest], str | None] = lambda manifest: None

    @property
    def failed(self) -> dict[VersionKey, str]:
        """Why versions are not verified."""
        return {key: failure.reason for key, failure in self._failures.items()}

    @property
    def running(self) -> frozenset[VersionKey]:
        """The versions that are being copied or proven now."""
        return frozenset(self._running)

    @property
    def digests(self) -> frozenset[str]:
        """The digests that must stay in the cache: verified, or under way."""
        return frozenset({verified.digest for verified in self.verified.values()} | {*self._digests.values()})

    def trust(self, desired: DesiredState) -> None:
        """Count what is held already, and still in the cache, as verified: it passed before it was held."""
        for model, wanted in desired.models.items():
            for held in wanted.held:
                manifest = self._cached_manifest(held.digest)
                if manifest:
                    key = VersionKey(model, held.version)
                    self.verified[key] = Verified(held.digest, held.size_bytes, manifest)

    def pursue(self, wanted: Iterable[PublishedVersion], now: float) -> None:
        """Start to verify what is wanted and due, up to AT_ONCE at a time; `now` is monotonic."""
        for version in wanted:
            key = VersionKey(version.model, version.version)
            if len(self._running) >= AT_ONCE:
                return
            if key not in self._running and self._is_due(key, version.digest, now):
                reason = self.missing(version.manifest)
                if reason is not None:
                    self._wait_for_features(key, version.digest, reason, now)
                    continue
                self._digests[key] = version.digest
                self._running[key] = asyncio.create_task(self._verify(key, version))

    def doubt(self, digests: frozenset[str], now: float) -> None:
        """Check the cached copies of what some worker cannot load; a damaged one is fetched anew.

        `now` is monotonic.
        """
        for key, verified in self.verified.items():
            due = now - self._doubted.get(key, -math.inf) >= DOUBT_AGAIN_S
            if verified.digest in digests and due and key not in self._running:
                self._doubted[key] = now
                self._running[key] = asyncio.create_task(self._check_again(key, verified.digest))

    def untried(self, wanted: Iterable[PublishedVersion]) -> bool:
        """Return whether some wanted version has neither passed nor failed yet."""
        keys = (VersionKey(version.model, version.version) for version in wanted)
        return any(key not in self._failures and key not in self.verified for key in keys)

    def forget(self, needed: frozenset[str], registry: RegistrySnapshot) -> None:
        """Drop what is verified and not `needed` (digests) any more, and failures of what is gone.

        Nothing is dropped of what the registry cannot read at this moment.
        """
        for key, verified in list(self.verified.items()):
            if verified.digest not in needed and not _is_unreadable(key, registry):
                del self.verified[key]
        for key, failure in list(self._failures.items()):
            if failure.digest != _shown_digest(key, registry) and not _is_unreadable(key, registry):
                del self._failures[key]

    def retry_now(self, model: str) -> None:
        """Let every failed version of `model` be tried again at once."""
        for key in [key for key in self._failures if key.model == model]:
            del self._failures[key]

    async def stop(self) -> None:
        """Cancel what is under way; threads and child processes end by their own limits."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _is_due(self, key: VersionKey, digest: str, now: float) -> bool:
        failure = self._failures.get(key)
        return failure is None or failure.digest != digest or now >= failure.retry_at

    async def _verify(self, key: VersionKey, version: PublishedVersion) -> None:
        try:
            report = await asyncio.to_thread(self._fetch_and_prove, version)
            self._failures.pop(key, None)
            size_bytes = bytes_in_worker(report.rss_bytes, version.manifest.size_bytes)
            self.verified[key] = Verified(version.digest, size_bytes, version.manifest)
            self._logger.info("version_verified", model=key.model, version=key.version, digest=version.digest)
        except ModelError as error:
            self._note_failure(key, version.digest, str(error))
        except Exception as error:  # a task's edge: whatever happens is a reason that is shown
            self._note_failure(key, version.digest, f"could not be checked ({type(error).__name__})")
            self._logger.error("verification_broke", model=key.model, version=key.version, error=repr(error))
        finally:
            self._running.pop(key, None)
            self._digests.pop(key, None)

    async def _check_again(self, key: VersionKey, digest: str) -> None:
        try:
            damage = await asyncio.to_thread(self._damage, digest)
            if damage:
                self._logger.error("cached_copy_dropped", model=key.model, version=key.version, reason=damage)
                await asyncio.to_thread(self._cache.remove, digest)
                self.verified.pop(key, None)
        finally:
            self._running.pop(key, None)

    def _damage(self, digest: str) -> str:
        """Return what is wrong with a cached copy; nothing where that cannot be told now."""
        if digest not in self._cache.digests():
            return "it is gone"
        try:
            self._cache.verify(digest)
        except (UnsafeFile, InvalidManifest) as error:
            return str(error)
        except RegistryError:
            return ""
        return ""

    def _fetch_and_prove(self, version: PublishedVersion) -> ProbationReport:
        directory = self._cache.add(self._source, version)
        report = self._prove(directory)
        if not report.ok:
            self._cache.remove(version.digest)
            raise LoadError(report.reason)
        return report

    def _wait_for_features(self, key: VersionKey, digest: str, reason: str, now: float) -> None:
        before = self._failures.get(key)
        if before is None or (before.digest, before.reason) != (digest, reason):
            self._logger.warning(
                "version_lacks_features", model=key.model, version=key.version, reason=reason
            )
        self._failures[key] = Failure(digest, reason, 1, now + FEATURES_AGAIN_S)

    def _note_failure(self, key: VersionKey, digest: str, reason: str) -> None:
        before = self._failures.get(key)
        attempts = before.attempts + 1 if before and before.digest == digest else 1
        wait_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** (attempts - 1))
        self._failures[key] = Failure(digest, reason, attempts, time.monotonic() + wait_s)
        self._logger.warning(
            "version_refused", model=key.model, version=key.version, reason=reason, retry_in_s=wait_s
        )

    def _cached_manifest(self, digest: str) -> Manifest | None:
        try:
            return decode_manifest((self._cache.path(digest) / MANIFEST_FILE).read_bytes())
        except (OSError, ValueError, InvalidManifest):
            return None


def _shown_digest(key: VersionKey, registry: RegistrySnapshot) -> str | None:
    model = registry.models.get(key.model)
    published = model.versions.get(key.version) if model else None
    return published.digest if published else None


def _is_unreadable(key: VersionKey, registry: RegistrySnapshot) -> bool:
    model = registry.models.get(key.model)
    return model is not None and (not model.readable or key.version in model.problems)
