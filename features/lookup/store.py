"""The seam at which stores are exchanged: look-ups of a turn go in, what the store has comes out.

A store never raises to the turn. What cannot be had in time is TIMEOUT, what was never written MISSING.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from driftgate.features.rows.codec import StoredRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import FeatureView

NO_SNAPSHOT = 0


class Lookup(NamedTuple):
    """Entities of one view whose features are wanted; `keys` are canonical bytes, see `views.keys`.

    `layout` is the one that its owner worked out once for the view.
    """

    layout: RowLayout
    keys: Sequence[bytes]

    @property
    def view(self) -> FeatureView:
        """The view that is looked into."""
        return self.layout.view


class Fetched(NamedTuple):
    """The answer to one look-up, a row for every key in its order.

    `snapshot` is the number of the snapshot that was read, NO_SNAPSHOT if there is none. `timed_out` tells
    that some rows could not be had in time; `stored.faults` tells which.
    """

    stored: StoredRows
    snapshot: int
    timed_out: bool = False


class FeatureStore(Protocol):
    """Where features are read. For one thread, that of the event loop."""

    def fetch(
        self, lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]
    ) -> None:
        """Look up everything that a turn needs, and call `done` once with an answer for each look-up.

        Stores in this process call it before they return, others later on the event loop and within
        `budget_s`. Raises nothing but what `done` raises.
        """
        ...

    def unavailable(self, view: FeatureView) -> str | None:
        """Return why features of `view` cannot be had from here, in words; None if they can."""
        ...

    def trouble(self) -> str:
        """Return why nothing is looked up here at the moment, or nothing new, in words; empty if all is."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
