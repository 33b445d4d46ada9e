"""The in-memory twin of the stores, for tests: a dictionary of packed rows for each view."""

from collections.abc import Callable, Sequence

from driftgate.features.lookup.store import NO_SNAPSHOT, Fetched, Lookup
from driftgate.features.rows.codec import EntityRows, decode_rows, encode_rows, event_time_of, never_written
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.status import Fault
from driftgate.features.views.view import FeatureView


class MemoryFeatureStore:
    """A feature store in memory; implements FeatureStore. It times out where `available` is False."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[bytes, bytes]] = {}
        self.available = True
        self.snapshot = NO_SNAPSHOT

    def put(self, view: FeatureView, rows: EntityRows) -> None:
        """Write rows; one with an older event time, or the same, changes nothing."""
        held = self.rows.setdefault(view.name, {})
        for key, row in zip(rows.keys, encode_rows(RowLayout.of(view), rows), strict=True):
            if key not in held or event_time_of(held[key]) < event_time_of(row):
                held[key] = row

    def fetch(
        self, lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]
    ) -> None:
        """Answer at once; see FeatureStore."""
        done([self._look_up(lookup) for lookup in lookups])

    def unavailable(self, view: FeatureView) -> str | None:
        """Return why `view` cannot be had; None if it can."""
        return None if view.name in self.rows else f"nothing was written to the view {view.name!r} yet"

    def trouble(self) -> str:
        """Return why nothing is looked up; empty if it is."""
        return "" if self.available else "the store is made not to answer"

    def close(self) -> None:
        """Nothing is held."""

    def _look_up(self, lookup: Lookup) -> Fetched:
        if not self.available:
            stored = never_written(lookup.layout, len(lookup.keys), Fault.TIMEOUT)
            return Fetched(stored, NO_SNAPSHOT, timed_out=True)
        held = self.rows.get(lookup.view.name, {})
        raw = [held.get(key) for key in lookup.keys]
        return Fetched(decode_rows(lookup.layout, raw), self.snapshot)
