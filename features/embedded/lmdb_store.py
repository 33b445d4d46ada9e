"""The embedded store as workers read it: the current snapshot and the delta of each view, without locks.

Of the two the row with the newer event time counts; of equals the snapshot's. Which snapshot is current is
looked at every 50 ms, before an answer, so that a process which was paused looks first.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from driftgate.features.embedded.lmdb_file import ImmutableRows, SharedRows
from driftgate.features.embedded.snapshots import (
    ViewFiles,
    current_snapshot,
    previous_snapshot,
    snapshot_info,
)
from driftgate.features.errors import SnapshotUnknown, StoreDamaged, StoreError
from driftgate.features.lookup.store import NO_SNAPSHOT, Fetched, Lookup
from driftgate.features.rows.codec import StoredRows, decode_rows, event_time_of, never_written
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.status import Fault
from driftgate.features.views.view import FeatureView

PackedRows = list[bytes | None]
"""Rows as they are stored, None where there is none."""
LOOK_EVERY_S = 0.05


class LmdbFeatureStore:
    """The feature store of one gateway, read by one of its processes; implements FeatureStore.

    Views are opened when they are first asked for. A process has one such store: LMDB forbids opening a path
    twice. Make it after the process was forked or spawned.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """`root` holds one directory for each view and need not be there yet; `clock` is in seconds."""
        self._root = root
        self._clock = clock
        self._views: dict[str, _OpenView] = {}
        self._look_at = clock() + LOOK_EVERY_S

    def fetch(
        self, lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]
    ) -> None:
        """Answer at once; see FeatureStore."""
        if self._clock() >= self._look_at:
            self.look()
        done([self._fetch(lookup) for lookup in lookups])

    def packed(self, view: str, keys: Sequence[bytes]) -> tuple[PackedRows, int]:
        """Return rows of one view, sound or not (None: not to be had), and the snapshot that is read."""
        if self._clock() >= self._look_at:
            self.look()
        held = self._views.get(view) or self._view(view)
        try:
            return held.packed(keys)[1], held.snapshot
        except StoreError:
            return [None] * len(keys), held.snapshot

    def look(self) -> None:
        """Take up new snapshots and deltas."""
        for view in self._views.values():
            view.look()
        self._look_at = self._clock() + LOOK_EVERY_S

    def snapshots(self) -> dict[str, int]:
        """Look, and return the snapshot that is read of every view that was asked for."""
        self.look()
        return {name: view.snapshot for name, view in self._views.items()}

    def problem(self, name: str) -> str:
        """Return why the current snapshot of a view is not the one that is read; empty if it is."""
        return self._view(name).problem

    def pushed(self, name: str) -> int:
        """Return how many pushed rows of a view have not left the delta."""
        return self._view(name).pushed()

    def unavailable(self, view: FeatureView) -> str | None:
        """Return why features of `view` cannot be had; None if they can."""
        held = self._view(view.name)
        held.look()
        return held.unavailable(view)

    def trouble(self) -> str:
        """Return why an earlier snapshot is read than the current one; empty if none is."""
        return next((view.problem for view in self._views.values() if view.problem), "")

    def close(self) -> None:
        """Close all files."""
        for view in self._views.values():
            view.close()
        self._views.clear()

    def _fetch(self, lookup: Lookup) -> Fetched:
        view = self._views.get(lookup.layout.view.name) or self._view(lookup.layout.view.name)
        try:
            return Fetched(view.rows(lookup.layout, lookup.keys), view.snapshot)
        except StoreError:
            stored = never_written(lookup.layout, len(lookup.keys), Fault.TIMEOUT)
            return Fetched(stored, view.snapshot, timed_out=True)

    def _view(self, name: str) -> "_OpenView":
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = _OpenView(ViewFiles(self._root, name))
            view.look()
        return view


class _OpenView:
    """Snapshot and delta of one view, as far as there are any."""

    def __init__(self, files: ViewFiles) -> None:
        self.snapshot = NO_SNAPSHOT
        self._files = files
        self._base: ImmutableRows | None = None
        self._delta: SharedRows | None = None
        self._seen = (0, 0)
        self.problem = ""

    def look(self) -> None:
        """Open what is new; where that fails, what was read until now is read on, or the snapshot before."""
        try:
            found = os.stat(self._files.current)
            seen = (found.st_ino, found.st_mtime_ns)
        except OSError:
            seen = self._seen
        try:
            if seen != self._seen:
                self._swap(current_snapshot(self._files))
                self._seen, self.problem = seen, ""
            if self._delta is None:
                self._delta = SharedRows(self._files.delta)
        except FileNotFoundError:
            return
        except (StoreError, OSError) as error:
            self.problem = str(error) if isinstance(error, StoreError) else "its files cannot be opened"
            self._go_back()

    def rows(self, layout: RowLayout, keys: Sequence[bytes]) -> StoredRows:
        """Return what there is of these entities; raises StoreError."""
        base, chosen = self.packed(keys)
        stored = decode_rows(layout, chosen)
        if chosen is base or not stored.faults:
            return stored
        # What was pushed and cannot be used hides nothing.
        return decode_rows(layout, [base[i] if i in stored.faults else row for i, row in enumerate(chosen)])

    def packed(self, keys: Sequence[bytes]) -> tuple[PackedRows, PackedRows]:
        """Return the rows of the snapshot, and the newer ones of snapshot and delta; raises StoreError."""
        base: PackedRows = self._base.get_many(keys) if self._base else [None] * len(keys)
        if self._delta is None:
            return base, base
        delta = self._delta.get_many(keys)
        if delta.count(None) == len(delta):
            return base, base
        return base, [_newer(old, new) for old, new in zip(base, delta, strict=True)]

    def pushed(self) -> int:
        """Return how many rows the delta has."""
        return self._delta.count() if self._delta else 0

    def unavailable(self, view: FeatureView) -> str | None:
        """Return why rows of `view` cannot be read."""
        if self.problem and self._base is None:
            return self.problem
        try:
            if self.snapshot == NO_SNAPSHOT:
                current_snapshot(self._files)
                no_rows = f"the view {view.name!r} holds no rows yet: load or push them"
                return no_rows if self._delta is None else None
            info = snapshot_info(self._files, self.snapshot)
        except (SnapshotUnknown, StoreError) as error:
            return str(error)
        if info.schema != f"{view.schema_id:016x}":
            return (
                f"snapshot {self.snapshot} of the view {view.name!r} has other features than the version was "
                "bound to: load the view anew, or give the changed view a new name"
            )
        return None

    def close(self) -> None:
        """Close both."""
        for rows in (self._base, self._delta):
            if rows is not None:
                rows.close()
        self._base = self._delta = None

    def _go_back(self) -> None:
        """Read the newest that can be opened of the snapshots that were read before the current one."""
        with suppress(StoreError, OSError):
            number = current_snapshot(self._files)
            while (number := previous_snapshot(self._files, number)) != NO_SNAPSHOT:
                with suppress(StoreError, OSError):
                    self._swap(number)
                    return

    def _swap(self, number: int) -> None:
        if number == self.snapshot:
            return
        try:
            fresh = ImmutableRows(self._files.snapshot(number)) if number != NO_SNAPSHOT else None
        except FileNotFoundError:
            raise StoreDamaged(f"snapshot {number} of the view {self._files.view!r} is gone") from None
        if self._base is not None:
            self._base.close()
        self._base, self.snapshot = fresh, number


def _newer(old: bytes | None, new: bytes | None) -> bytes | None:
    """Return the row of the delta if it is newer, else that of the snapshot."""
    if old is None or new is None:
        return new if old is None else old
    return new if event_time_of(new) > event_time_of(old) else old
