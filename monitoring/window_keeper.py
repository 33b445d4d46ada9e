"""Keeps one monitor's windows: folds what is read, seals by watermark, shows and hands over what changed."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from driftgate.monitoring.log_blocks import Block
from driftgate.monitoring.monitor_db import MonitorDb
from driftgate.monitoring.pane import Pane, PaneKey
from driftgate.monitoring.pane_codec import InvalidPane
from driftgate.monitoring.pane_tables import WindowChanges
from driftgate.monitoring.reference import InvalidProfile
from driftgate.monitoring.reference_book import FindProfile, ReferenceBook
from driftgate.monitoring.window_status import WindowStatus
from driftgate.monitoring.window_watch import WindowWatch
from driftgate.monitoring.windows import SegmentsOf, Windows

FOLD_BYTES = 4 * 2**20
"""Of the log: so much is folded at once."""
SHOW_EVERY_US = 1_000_000
"""Open panes are that old at most for those who look, and a moment."""


@dataclass(frozen=True)
class Watched:
    """What windows are made with beside the log: published profiles and declared segments."""

    find_profile: FindProfile = lambda model, version: None
    segments_of: SegmentsOf = lambda model: ()


class WindowKeeper:
    """Goes on where the book ends; where that cannot be read it begins anew and says so."""

    def __init__(self, db: MonitorDb, watched: Watched, on_problem: Callable[[str], None]) -> None:
        self._db = db
        self._on_problem = on_problem
        self._waiting: list[Block] = []
        self._waiting_bytes = 0
        self._sealed: dict[PaneKey, Pane] = {}
        self._shown: set[PaneKey] = set()
        self._shown_at_us = 0
        try:
            known, panes = db.references(), db.open_panes()
        except (InvalidPane, InvalidProfile) as error:
            on_problem(f"windows that were open are lost: {error}")
            known, panes = [], []
        self._book = ReferenceBook(known, watched.find_profile, on_problem)
        self._windows = Windows(self._book, watched.segments_of, db.sealed_until_us(), panes)
        self._watch = WindowWatch(self._book, db.detectors())
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
        self._watch.update(sealed)
        if sealed or now_us >= self._shown_at_us + SHOW_EVERY_US:
            self._shown_at_us = now_us
            self._show()
        return sealed

    def changes(self) -> WindowChanges:
        """Return what is to be committed together with the reader's offsets."""
        self._fold()
        windows = self._windows
        return WindowChanges(
            sealed_us=windows.sealed_us,
            sealed=dict(self._sealed),
            open={key: windows.open[key] for key in windows.changed},
            late=dict(windows.late),
            references=tuple(self._book.added),
            detectors=self._watch.changes(),
        )

    def committed(self) -> None:
        """Forget the changes: they are in the book."""
        self._windows.changed.clear()
        self._late_rows += sum(self._windows.late.values())
        self._windows.late.clear()
        self._watch.committed()
        self._book.added.clear()
        self._sealed.clear()
        self._shown.clear()

    def status(self, now_us: int) -> WindowStatus:
        """Return how the windows fare."""
        windows = self._windows
        return WindowStatus(
            at_us=now_us,
            sealed_us=windows.sealed_us,
            open_panes=len(windows.open),
            unsaved_panes=len(self._sealed),
            late_rows=self._late_rows + sum(windows.late.values()),
            figures=self._watch.figures(),
        )

    def _fold(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._windows.update(waiting)

    def _show(self) -> None:
        windows = self._windows
        sealed = {key: pane for key, pane in self._sealed.items() if key not in self._shown}
        try:
            self._db.show({key: windows.open[key] for key in windows.changed}, sealed)
            self._shown |= sealed.keys()
        except sqlite3.Error as error:
            self._on_problem(f"windows cannot be shown: {error}")
