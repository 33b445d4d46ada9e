"""Following the logs: count and archive every record once, keep the book, and let old segments go."""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from driftgate.monitoring.archive.files import DAY_US
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.damage import raise_if_damaged
from driftgate.monitoring.book.fold import RecordCounts, late_records
from driftgate.monitoring.book.follower_status import FollowerStatus
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.window_keeper import WindowKeeper
from driftgate.monitoring.book.windows import Watched
from driftgate.monitoring.log.blocks import Block
from driftgate.monitoring.log.reader import Directories, LogReader, Problem, ReadBlock
from driftgate.monitoring.log.segments import list_segments, segment_name

READ_BYTES = 8 * 2**20
"""Of each boot at a time, so that a long backlog cannot keep a monitor from stating how it fares."""
ARCHIVE_BYTES = 64 * 2**20
"""Of the log: so much is archived at once, whatever time it is, so that wide rows do not fill the memory."""
MOST_WAITING_BYTES = 256 * 2**20
TIDY_EVERY_US = 10_000_000
CHECK_EVERY_US = 600_000_000
MERGE_S = 0.2
"""Spent on merging old windows each time, so that new ones do not wait."""
RATE_WINDOW_US = 10_000_000


@dataclass(frozen=True)
class FollowerSettings:
    """When records are archived (after so many seconds or rows), and how many days things are kept then.

    After `minute_days` windows are merged into hours.
    """

    archive_every_s: float = 10.0
    archive_rows: int = 200_000
    local_days: int = 7
    count_days: int = 120
    pane_days: int = 35
    minute_days: int = 7
    watched: Watched = field(default_factory=Watched)


class Follower:
    """Reads all slots' logs; `step` is called again and again with the time in Unix microseconds."""

    def __init__(
        self,
        directories: Directories,
        db: MonitorDb,
        archiver: Archiver,
        settings: FollowerSettings,
        on_problem: Callable[[str], None],
    ) -> None:
        archiver.recover()
        self.windows = WindowKeeper(db, settings.watched, on_problem)
        self._directories = directories
        self._db = db
        self._archiver = archiver
        self._settings = settings
        self._on_problem = on_problem
        self._reader = LogReader(directories, db.positions())
        self._counts = RecordCounts()
        self._uncounted: list[Block] = []
        self._totals: Counter[str] = Counter()
        self._known: Counter[str] = Counter(db.totals())
        self._archived_at_us = 0
        self._tidied_at_us = 0
        self._checked_at_us: int | None = None
        self._failing_since_us: int | None = None
        self._rates: list[tuple[int, int]] = []
        self.is_behind = False
        """Whether the last `step` could have read more, so that the next one should not wait."""

    def step(self, now_us: int) -> int:
        """Read what has come, archive and tidy if it is time; return how many records were read.

        Nothing is read while the archive cannot be written and much is waiting for it: the log keeps it.
        Raises DamagedBook.
        """
        self.is_behind = False
        began_rows = self._totals["rows"] + self._known["rows"]
        if self._archiver.waiting_bytes < MOST_WAITING_BYTES:
            for found in self._reader.read(READ_BYTES):
                self._take(found)
                if self._is_much():
                    self._try_checkpoint(now_us)
            self.is_behind = self._reader.has_more
            self.windows.step(self._reader.watermark_us, now_us)
        due_us = self._archived_at_us + self._settings.archive_every_s * 1e6
        if now_us >= due_us:
            self._try_checkpoint(now_us)
        if now_us >= self._tidied_at_us + TIDY_EVERY_US:
            self._tidy(now_us)
        rows = self._totals["rows"] + self._known["rows"]
        self._note_rate(now_us, rows)
        return rows - began_rows

    def finish(self, now_us: int, within_s: float) -> None:
        """Read the rest, for so many seconds at most, and archive it."""
        deadline = time.monotonic() + within_s
        while self.step(now_us) and time.monotonic() < deadline:
            pass
        self.windows.end()
        self._try_checkpoint(now_us)

    def status(self, now_us: int) -> FollowerStatus:
        """Return how this monitor fares."""
        totals = self._known + self._totals
        files = self._db.files()
        watermark_us = self._reader.watermark_us
        return FollowerStatus(
            at_us=now_us,
            watermark_us=watermark_us,
            lag_s=max(0.0, (now_us - watermark_us) / 1e6) if watermark_us else 0.0,
            backlog_bytes=self._reader.backlog_bytes(),
            rows_per_s=self._rate(),
            rows=totals["rows"],
            late_rows=totals["late_rows"],
            lost_frames=totals["lost_frames"],
            damaged_bytes=totals["damaged_bytes"],
            unarchived_rows=totals["unarchived_rows"],
            archive_failures=totals["archive_failures"],
            unwritten_s=(now_us - (self._failing_since_us or now_us)) / 1e6,
            rebuilds=totals["rebuilds"],
            archive_files=len(files),
            archive_bytes=sum(file.size_bytes for file in files),
        )

    def _take(self, found: ReadBlock | Problem) -> None:
        if isinstance(found, Problem):
            self._totals["lost_frames"] += found.lost_frames
            self._totals["damaged_bytes"] += found.damaged_bytes
            self._on_problem(
                f"slot {found.slot}, segment {found.segment} of boot {found.boot}, before byte {found.byte}: "
                f"{found.lost_frames} frames missing, {found.damaged_bytes} bytes damaged"
            )
            return
        block = found.block
        self._uncounted.append(block)
        self._totals["rows"] += block.header.records
        self._totals["late_rows"] += late_records(block, self._reader.watermark_us)
        self._archiver.add(found)
        self.windows.take(block)

    def _is_much(self) -> bool:
        waiting = self._archiver
        return waiting.waiting_rows >= self._settings.archive_rows or waiting.waiting_bytes >= ARCHIVE_BYTES

    def _try_checkpoint(self, now_us: int) -> None:
        try:
            self._checkpoint()
            self._failing_since_us = None
        except (OSError, sqlite3.Error) as error:
            raise_if_damaged(error)
            self._failing_since_us = self._failing_since_us or now_us
            self._totals["archive_failures"] += 1
            self._on_problem(f"the archive cannot be written: {error}; records stay in the log")
        self._archived_at_us = now_us

    def _checkpoint(self) -> None:
        self._db.place.check()
        self._counts.update(self._uncounted)
        self._uncounted = []
        files = self._archiver.write()
        totals = self._totals + Counter(unarchived_rows=self._archiver.unarchived_rows)
        try:
            windows = self.windows.changes()
            self._db.commit(Checkpoint(self._reader.positions, files, self._counts.get(), totals, windows))
        except sqlite3.Error:
            self._archiver.discard(files)
            raise
        self._known += totals
        self._totals = Counter()
        self._counts = RecordCounts()
        self.windows.committed()
        self._archiver.publish(files)
        self._mark_archived()

    def _mark_archived(self) -> None:
        """Rename segments that nobody needs to read any more."""
        positions = self._reader.positions
        for slot, directory in self._directories().items():
            for segment in list_segments(directory):
                position = positions.get((slot, segment.boot))
                if segment.archived or position is None:
                    continue
                if position.ended or segment.number < position.segment:
                    with suppress(OSError):
                        name = segment_name(segment.boot, segment.number, archived=True)
                        os.rename(segment.path, directory / name)

    def _tidy(self, now_us: int) -> None:
        self._tidied_at_us = now_us
        try:
            if self._archiver.tidy(now_us):
                self._tidied_at_us = 0
            self._delete_old_segments(now_us)
            self._db.forget_counts(now_us - self._settings.count_days * DAY_US)
            self._db.forget_panes(now_us - self._settings.pane_days * DAY_US)
            self._merge_windows(now_us - self._settings.minute_days * DAY_US)
            self._check(now_us)
        except (OSError, sqlite3.Error) as error:
            raise_if_damaged(error)
            self._on_problem(f"the archive cannot be tidied: {error}")

    def _check(self, now_us: int) -> None:
        """Look now and then for damage that this process would not meet, but whoever reads the book would."""
        if self._checked_at_us is None:
            self._checked_at_us = now_us
        elif now_us >= self._checked_at_us + CHECK_EVERY_US and self._db.place.is_small:
            self._checked_at_us = now_us
            self._db.place.look_through()

    def _merge_windows(self, before_us: int) -> None:
        deadline = time.monotonic() + MERGE_S
        while time.monotonic() < deadline and (
            self._db.merge_next_hour(before_us) or self._db.sum_next_hour()
        ):
            pass

    def _delete_old_segments(self, now_us: int) -> None:
        oldest_s = now_us / 1e6 - self._settings.local_days * DAY_US / 1e6
        for directory in self._directories().values():
            for segment in list_segments(directory):
                with suppress(FileNotFoundError):
                    if segment.archived and segment.path.stat().st_mtime < oldest_s:
                        segment.path.unlink()

    def _note_rate(self, now_us: int, rows: int) -> None:
        self._rates = [at for at in self._rates if at[0] > now_us - RATE_WINDOW_US]
        self._rates.append((now_us, rows))

    def _rate(self) -> float:
        if not self._rates:
            return 0.0
        (first_us, first), (last_us, last) = self._rates[0], self._rates[-1]
        return (last - first) * 1e6 / (last_us - first_us) if last_us > first_us else 0.0
