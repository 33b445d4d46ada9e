"""`monitor.db`: how far the logs have been read, what the archive holds and what was counted.

One process writes it. What is read, archived and counted is committed in one transaction, so that a monitor
that is killed anywhere goes on as if it had not been.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftgate.monitoring.alerts.book import AlertBook
from driftgate.monitoring.archive.files import ArchiveFile
from driftgate.monitoring.book.alert_tables import (
    AlertChanges,
    AlertPage,
    alert_book,
    alert_page,
    forget_alerts,
    put_alerts,
)
from driftgate.monitoring.book.archive_tables import archive_files, leaving_paths, put_files, replace_files
from driftgate.monitoring.book.damage import BookPlace, look_through
from driftgate.monitoring.book.drift_tables import (
    StoredEvidence,
    evidence_between,
    forget_evidence,
    sealed_panes,
)
from driftgate.monitoring.book.fold import CountKey
from driftgate.monitoring.book.hour_tables import counts_between, forget_hours, sum_next_hour
from driftgate.monitoring.book.pane_tables import (
    StoredPane,
    WindowChanges,
    detectors,
    first_pane_us,
    first_panes,
    forget_panes,
    last_panes,
    open_panes,
    panes_between,
    put_changes,
    put_panes,
    put_references,
    references,
    sealed_until_us,
)
from driftgate.monitoring.book.progress_tables import add_counts, counts, positions, put_positions, totals
from driftgate.monitoring.book.schemas import FORMAT, SCHEMAS
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.log.reader import BootKey, Position
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.windows.pane import ALL_ROWS, CountedPane, Pane, PaneKey
from driftgate.monitoring.windows.pane_retention import merge_next_hour


@dataclass(frozen=True)
class Checkpoint:
    """What is committed together. `positions` replace all earlier ones; counts and totals are added."""

    positions: Mapping[BootKey, Position]
    files: tuple[ArchiveFile, ...] = ()
    counts: Mapping[CountKey, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    windows: WindowChanges | None = None


class MonitorDb:
    """The database, open for its writer or, with `read_only`, for anybody."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open or make it. Raises sqlite3.Error, FileNotFoundError (read-only) and NewerFormat."""
        if read_only and not path.exists():
            raise FileNotFoundError(path)
        mode = "ro" if read_only else "rwc"
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=5.0
        )
        found = int(self._value("PRAGMA user_version"))
        if found > FORMAT:
            self._db.close()
            raise NewerFormat(
                f"{path.name} has format {found}; this Driftgate reads up to {FORMAT}. Upgrade Driftgate."
            )
        self._format = found if read_only else FORMAT
        if not read_only:
            self._prepare(found)
        self.place = BookPlace(path)

    def check(self) -> None:
        """Look through all of it; raise sqlite3.DatabaseError if it is damaged."""
        look_through(self._db)

    def close(self) -> None:
        """Close it."""
        self._db.close()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Let everything that is read inside be of the same checkpoint."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def positions(self) -> dict[BootKey, Position]:
        """Return how far each boot's records have been archived and counted."""
        return positions(self._db)

    def files(self) -> list[ArchiveFile]:
        """Return the files of the archive, the oldest first."""
        return archive_files(self._db)

    def leaving(self) -> list[str]:
        """Return the paths of files that have been replaced and may still be there."""
        return leaving_paths(self._db)

    def counts(self) -> dict[CountKey, int]:
        """Return all counts."""
        return counts(self._db)

    def totals(self) -> dict[str, int]:
        """Return all totals."""
        return totals(self._db)

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write all of a checkpoint, or nothing."""
        with self._transaction():
            put_positions(self._db, checkpoint.positions)
            put_files(self._db, checkpoint.files)
            add_counts(self._db, checkpoint.counts, checkpoint.totals)
            if checkpoint.windows is not None:
                put_changes(self._db, checkpoint.windows)

    def show(self, changes: WindowChanges) -> None:
        """Let others see panes and references that are not in the book yet; a power cut may lose that."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._transaction():
                put_references(self._db, changes.references)
                put_panes(self._db, "live", changes.open, sealed=False)
                put_panes(self._db, "live", changes.sealed, sealed=True)
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def open_panes(self) -> list[tuple[PaneKey, Pane]]:
        """Return the panes of the book that are not sealed; raise InvalidPane."""
        return open_panes(self._db)

    def detectors(self) -> dict[str, bytes]:
        """Return the saved states of detectors, by name."""
        return detectors(self._db)

    def sealed_until_us(self) -> int:
        """Return the time before which all panes are sealed."""
        return sealed_until_us(self._db)

    def references(self, model: str | None = None) -> list[Reference]:
        """Return all references, or those of one model; raise InvalidProfile."""
        return references(self._db, model) if self._format >= 2 else []

    def first_panes(self) -> dict[tuple[str, int], int]:
        """Return when the first window of each version began, in Unix microseconds."""
        return first_panes(self._db)

    def panes(
        self, model: str, first_us: int, end_us: int, accept: Callable[[PaneKey], bool] = lambda key: True
    ) -> list[StoredPane]:
        """Return the accepted panes of a model that begin in [first_us, end_us), by start, as they are."""
        return panes_between(self._db, model, first_us, end_us, accept) if self._format >= 2 else []

    def pane_counts(
        self,
        model: str,
        first_us: int,
        end_us: int,
        accept: Callable[[PaneKey], bool] = lambda key: key.segment == ALL_ROWS,
    ) -> list[tuple[PaneKey, CountedPane]]:
        """Return the counts of accepted panes (of all rows) that begin in [first_us, end_us), by start."""
        return counts_between(self._db, model, (first_us, end_us), accept) if self._format >= 2 else []

    def hour_counts(
        self,
        model: str,
        times: Sequence[int],
        accept: Callable[[PaneKey], bool] = lambda key: key.segment == ALL_ROWS,
    ) -> list[tuple[PaneKey, CountedPane]]:
        """Return what `pane_counts` does from the first of some times to the last, summed by the hour.

        An hour that is not over, or that has one of the times in it, comes as it is in `pane_counts`.
        """
        if self._format < 5:
            return self.pane_counts(model, min(times), max(times), accept)
        return counts_between(self._db, model, times, accept, by_hours=True)

    def first_pane_us(self, model: str) -> int | None:
        """Return when the first window of a model began, in Unix microseconds; None if it has none."""
        return first_pane_us(self._db, model) if self._format >= 2 else None

    def sealed_panes(self, first_us: int) -> list[tuple[PaneKey, Pane]]:
        """Return the sealed panes of the book that began at a time or later, by start; raise InvalidPane."""
        return list(sealed_panes(self._db, first_us))

    def evidence(
        self, model: str, between: tuple[int, int], step_us: int = 1, segment: str = ALL_ROWS
    ) -> list[StoredEvidence]:
        """Return the evidence after a segment's windows that began in [first, end), by start.

        Of windows of the same step it is the last one's.
        """
        if self._format < 4:
            return []
        return evidence_between(self._db, model, segment, between, step_us)

    def last_panes(self, segment: str = ALL_ROWS) -> dict[tuple[str, int, str], tuple[int, int]]:
        """Return (start in Unix microseconds, rows) of the newest pane of each model's version and arm."""
        return last_panes(self._db, segment) if self._format >= 2 else {}

    def put_alerts(self, changes: AlertChanges) -> None:
        """Write what has become of alerts."""
        with self._transaction():
            put_alerts(self._db, changes)

    def alert_book(self) -> tuple[AlertBook, int]:
        """Return the open alerts and silences, and the last request that was carried out."""
        return alert_book(self._db)

    def alert_page(self, model: str | None, since_us: int, limit: int) -> AlertPage:
        """Return the alerts that are open or began since then, the open ones first, and the silences."""
        return alert_page(self._db, model, since_us, limit) if self._format >= 3 else AlertPage()

    def forget_alerts(self, before_us: int) -> None:
        """Delete resolved alerts that began before a time."""
        with self._transaction():
            forget_alerts(self._db, before_us)

    def forget_panes(self, before_us: int) -> None:
        """Delete panes that began before a time, and the evidence after them."""
        with self._transaction():
            forget_hours(self._db, before_us)
            forget_panes(self._db, before_us)
            forget_evidence(self._db, before_us)

    def merge_next_hour(self, before_us: int) -> bool:
        """Merge some panes that began before a time into an hour; return False if there are none left."""
        with self._transaction():
            return merge_next_hour(self._db, before_us)

    def sum_next_hour(self) -> bool:
        """Sum the windows of some stream in an hour that is sealed; return False if there are none left."""
        with self._transaction():
            return sum_next_hour(self._db, sealed_until_us(self._db))

    def replace_files(self, old: Iterable[ArchiveFile], new: tuple[ArchiveFile, ...]) -> None:
        """Put new files in the place of old ones, which are `leaving` from now on."""
        with self._transaction():
            replace_files(self._db, old, new)

    def forget_leaving(self) -> None:
        """Forget the files that were replaced, once they are gone."""
        self._db.execute("DELETE FROM leaving")

    def forget_counts(self, before_us: int) -> None:
        """Delete counts of minutes that began before a time."""
        self._db.execute("DELETE FROM counts WHERE pane_us < ?", (before_us,))

    def _prepare(self, found: int) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # What is committed here decides which segments may be deleted, so it must outlive a power cut.
        self._db.execute("PRAGMA synchronous = FULL")
        schema = "".join(tables for number, tables in SCHEMAS if found < number)
        if schema:
            self._db.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {FORMAT}; COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _value(self, query: str) -> int:
        return int(self._rows(query)[0][0])
