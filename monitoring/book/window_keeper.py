"""Keeps one monitor's windows: folds what is read, seals by watermark, shows and hands over what changed."""

import sqlite3
from collections.abc import Callable, Mapping

from driftgate.monitoring.alerts.alert import Finding, Rule
from driftgate.monitoring.book.completed_reference import CompletedReference
from driftgate.monitoring.book.damage import raise_if_damaged
from driftgate.monitoring.book.drift_keeper import DriftKeeper
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.book.window_watch import WindowWatch
from driftgate.monitoring.book.windows import Watched, Windows
from driftgate.monitoring.drift.status import DriftStatus
from driftgate.monitoring.drift.targets import DriftTargets
from driftgate.monitoring.log.blocks import Block
from driftgate.monitoring.quality.silence_watch import SilenceWatch
from driftgate.monitoring.reference.book import Reference, ReferenceBook
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.heavy_segments import HeavySegments
from driftgate.monitoring.windows.pane import Pane, PaneKey
from driftgate.monitoring.windows.window_status import WindowStatus

FOLD_BYTES = 4 * 2**20
"""Of the log: so much is folded at once."""
SHOW_EVERY_US = 1_000_000
"""Open panes are that old at most for those who look, and a moment."""


class WindowKeeper:
    """Goes on where the book ends; raises what the book does where that cannot be read."""

    def __init__(self, db: MonitorDb, watched: Watched, on_problem: Callable[[str], None]) -> None:
        self._db = db
        self._on_problem = on_problem
        self._waiting: list[Block] = []
        self._waiting_bytes = 0
        self._sealed: dict[PaneKey, Pane] = {}
        self._shown: set[PaneKey] = set()
        self._shown_at_us = 0
        self._book = ReferenceBook(db.references(), watched.find_profile, on_problem)
        saved = db.detectors()
        self._windows = Windows(
            self._book, watched, HeavySegments(saved), db.sealed_until_us(), db.open_panes()
        )
        silence = SilenceWatch(watched.arms_of, watched.window_us, saved)
        self._window_us = watched.window_us
        targets = DriftTargets(watched.receivers, watched.window_us, on_problem)
        self._watch = WindowWatch(self._book, saved, silence, targets.of)
        self.drift = DriftKeeper(db, self._book, watched.plan_of, targets, on_problem)
        self._committing: dict[str, bytes] = {}
        self._is_ending = False
        self._late_rows = 0

    def take(self, block: Block) -> None:
        """Fold a block, soon."""
        self._waiting.append(block)
        self._waiting_bytes += len(block.payload)
        if self._waiting_bytes >= FOLD_BYTES:
            self._fold()

    def step(self, watermark_us: int, now_us: int) -> Mapping[PaneKey, Pane]:
        """Fold what was taken and seal what the watermark has passed; return that."""
        self._fold()
        sealed = self._windows.seal(watermark_us)
        self._sealed.update(sealed)
        self._watch.update(sealed, self._windows.sealed_us)
        self.drift.update(sealed)
        if sealed or now_us >= self._shown_at_us + SHOW_EVERY_US:
            self._shown_at_us = now_us
            self.drift.obey()
            self._show()
        return sealed

    def changes(self) -> WindowChanges:
        """Return what is to be committed together with the reader's offsets."""
        self._fold()
        windows = self._windows
        self._committing = self.drift.states(windows.sealed_us, self._is_ending)
        return WindowChanges(
            sealed_us=windows.sealed_us,
            sealed=dict(self._sealed),
            open={key: windows.open[key] for key in windows.changed},
            late=dict(windows.late),
            references=tuple(self._book.added),
            detectors=self._watch.changes() | windows.heavy.changes() | self._committing,
            evidence=self.drift.evidence(),
        )

    def end(self) -> None:
        """Hand over all states of detectors with the next changes, whenever they were last saved."""
        self._is_ending = True

    def committed(self) -> None:
        """Forget the changes: they are in the book."""
        self._windows.changed.clear()
        self._late_rows += sum(self._windows.late.values())
        self._windows.late.clear()
        self._watch.committed()
        self.drift.committed(self._committing)
        self._windows.heavy.committed()
        self._book.added.clear()
        self._sealed.clear()
        self._shown.clear()

    def references(self) -> list[Reference]:
        """Return the newest reference of every version."""
        return self._book.newest()

    def reference_of(self, model: str, version: int) -> ReferenceProfile | None:
        """Return the newest profile of a version, None if it has never been met."""
        found = self._book.at(model, version, 2**62)
        return found.reference.profile if found is not None else None

    def first_seen(self) -> Mapping[tuple[str, int], int]:
        """Return when each version's first window began, in Unix microseconds."""
        return self._db.first_panes()

    def completion_of(self, reference: Reference, first_us: int, end_us: int) -> CompletedReference:
        """Return what completes a reference by the windows that began in [first_us, end_us)."""
        return CompletedReference(self._db.panes, reference, first_us, end_us)

    def put_in_force(self, model: str, version: int, data: bytes) -> None:
        """Count the rows of a version with another profile, from the first minute on that has none yet."""
        self._fold()
        self._book.add(model, version, self._windows.untouched_us, data)

    @property
    def sealed_us(self) -> int:
        """The time before which all windows are complete."""
        return self._windows.sealed_us

    def status(self, now_us: int) -> WindowStatus:
        """Return how the windows fare."""
        windows = self._windows
        return WindowStatus(
            at_us=now_us,
            sealed_us=windows.sealed_us,
            open_panes=len(windows.open),
            unsaved_panes=len(self._sealed),
            late_rows=self._late_rows + sum(windows.late.values()),
            lost_rows=windows.lost_rows,
            figures=self._watch.figures(),
        )

    def findings(self) -> list[Finding]:
        """Return what alerts are told of now."""
        return [*self._watch.findings(), *self.drift.findings()]

    def acknowledge(self, finding: Finding, now_us: int) -> None:
        """Let evidence begin anew, as somebody has looked at what was found."""
        if finding.rule in (Rule.DRIFT, Rule.DEPENDENCE):
            self.drift.acknowledge(finding.model, finding.version, now_us)

    def drift_status(self, now_us: int) -> DriftStatus:
        """Return what evidence of drift there is."""
        return DriftStatus(now_us, self._window_us, self.drift.figures())

    def _fold(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._windows.update(waiting)

    def _show(self) -> None:
        windows = self._windows
        sealed = {key: pane for key, pane in self._sealed.items() if key not in self._shown}
        try:
            self._db.show(
                WindowChanges(
                    sealed_us=windows.sealed_us,
                    sealed=sealed,
                    open={key: windows.open[key] for key in windows.changed},
                    references=tuple(self._book.added),
                )
            )
            self._shown |= sealed.keys()
        except sqlite3.Error as error:
            raise_if_damaged(error)
            self._on_problem(f"windows cannot be shown: {error}")
