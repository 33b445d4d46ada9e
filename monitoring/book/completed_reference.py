"""A published reference with latency and ages from the first traffic, which windows have counted already."""

from driftgate.monitoring.book.drift_hours import PART_US, FindPanes
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.completion import completed
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.pane import ALL_ROWS, Pane, PaneKey, PaneShape


class CompletedReference:
    """Sums the windows of a version in [first_us, end_us) part by part, so that nobody waits for all."""

    def __init__(self, find: FindPanes, reference: Reference, first_us: int, end_us: int) -> None:
        self._find, self._reference = find, reference
        self._between = first_us, end_us
        self._at_us = first_us
        self._traffic = Pane.empty(PaneShape.of(reference.profile))

    def step(self) -> bool:
        """Take the next windows, if there may be any, and say so."""
        first_us, end_us = self._at_us, min(self._at_us + PART_US, self._between[1])
        if first_us >= end_us:
            return False
        self._at_us = end_us
        for one in self._find(self._reference.model, first_us, end_us, self._is_wanted):
            self._traffic.merge(one.pane)
        return True

    def get(self) -> ReferenceProfile:
        """Return the profile with what was taken."""
        return completed(self._reference.profile, self._traffic, self._between)

    @property
    def rows(self) -> int:
        """How many rows were taken."""
        return self._traffic.rows

    def _is_wanted(self, key: PaneKey) -> bool:
        wanted = self._reference.version, ALL_ROWS, self._reference.id
        return (key.version, key.segment, key.profile) == wanted
