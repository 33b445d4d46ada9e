"""The stored features of one worker: the views that are declared, and the plans of versions that read them.

A version whose views are not declared, or hold nothing that it could read, is not served; why is said. A view
that is declared anew is followed as soon as the store has rows of it; until then its old declaration counts.
"""

from collections.abc import Iterable

from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.lookup.store import FeatureStore
from driftgate.features.rows.layout import RowLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.state.feature_views import UnreadableViews, ViewsFile, missing_features
from driftgate.models.errors import LoadError
from driftgate.models.schema.manifest import Manifest


class StoredFeatures:
    """What completes the rows of one worker's versions; for the event loop's thread alone."""

    def __init__(
        self, views: ViewsFile, store: FeatureStore, counters: FeatureCounters, logger: Logger
    ) -> None:
        self._views = views
        self._store = store
        self._counters = counters
        self._logger = logger
        self._layouts: dict[str, RowLayout] = {}
        self._outdated = False

    def follow(self, versions: Iterable[ServedVersion]) -> None:
        """Take up snapshots, and changed declarations for every version that can be read by them."""
        if isinstance(self._store, LmdbFeatureStore):
            self._counters.reading(self._store.snapshots())
        try:
            self._outdated |= self._views.look()
        except UnreadableViews as error:
            self._logger.error("feature_views_unreadable", reason=str(error))
        if not self._outdated:
            return
        self._outdated = False
        for served in versions:
            if served.features is None or self._is_current(served.features):
                continue
            if self.missing(served.loaded.manifest) is None:
                served.features = self.plan(served.loaded.manifest)
            else:
                self._outdated = True

    def missing(self, manifest: Manifest) -> str | None:
        """Return why features of a version cannot be read here; None if they can, or if it has none."""
        return missing_features(manifest, self._views.known, self._store.unavailable)

    def trouble(self, served: ServedVersion) -> str:
        """Return why a version gets no stored features at the moment; empty if it does, or reads none."""
        return self._store.trouble() if served.features is not None else ""

    def plan(self, manifest: Manifest) -> FeaturePlan | None:
        """Return how rows of a version are completed; None if it has no features.

        Raises LoadError where it has, and they are missing or not what it was bound to.
        """
        if manifest.features is None:
            return None
        reason = self.missing(manifest)
        if reason is not None:
            raise LoadError(reason)
        layouts = {bound.view: self._layout(bound.view) for bound in manifest.features.views}
        return FeaturePlan.of(manifest, layouts)

    def _layout(self, name: str) -> RowLayout:
        """Return the layout of a view, the same one for all versions, so that they share its look-ups."""
        view = self._views.known.views[name]
        if name not in self._layouts or self._layouts[name].view != view:
            self._layouts[name] = RowLayout.of(view)
        return self._layouts[name]

    def _is_current(self, plan: FeaturePlan) -> bool:
        views = self._views.known.views
        return all(one.layout.view == views.get(one.layout.view.name) for one in plan.views)
