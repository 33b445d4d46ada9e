"""Follows the feature views that the registry declares, and says which versions lack theirs.

What was known stays while the registry, or its directory of views, is away.
"""

import asyncio
from pathlib import Path

from driftgate.features.errors import FeatureError
from driftgate.features.lookup.store import FeatureStore
from driftgate.features.views.declaration import VIEWS_DIRECTORY, declared_views
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.feature_views import (
    KnownViews,
    UnreadableViews,
    ViewsFile,
    missing_features,
    write_views,
)
from driftgate.models.schema.manifest import Manifest


class FeatureViewWatcher:
    """The views of one registry; `store` says of which there is something to read."""

    def __init__(self, registry: Path, path: Path, store: FeatureStore, logger: Logger) -> None:
        self._registry = registry
        self._path = path
        self.store = store
        self._logger = logger
        self.known = KnownViews()
        file = ViewsFile(path)
        try:
            file.look()
        except UnreadableViews as error:
            logger.error("feature_views_unreadable", reason=str(error))
        else:
            self.known = file.known

    async def run(self, poll_s: float) -> None:
        """Look every `poll_s` seconds, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(poll_s)

    async def look(self) -> KnownViews:
        """Return what is declared now, or what was, if the registry cannot be read."""
        try:
            await self.step()
        except (FeatureError, OSError) as error:  # the next look may do better
            self._logger.warning("feature_views_not_read", reason=str(error))
        return self.known

    async def step(self) -> None:
        """Read the declarations and write down what has changed; raises FeatureError or OSError."""
        found = await asyncio.to_thread(self._read)
        if found is not None and found != self.known:
            write_views(self._path, found)
            self.known = found
            self._logger.info("feature_views_changed", views=len(found.views), problems=len(found.problems))

    def missing(self, manifest: Manifest) -> str | None:
        """Return why a version cannot have its features; None if it can, or if it has none."""
        return missing_features(manifest, self.known, self.store.unavailable)

    def _read(self) -> KnownViews | None:
        if not (self._registry / VIEWS_DIRECTORY).is_dir():
            return None
        declared = declared_views(self._registry)
        return KnownViews(dict(declared.views), dict(declared.problems))
