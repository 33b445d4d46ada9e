"""The archive's one writer: records to Parquet by model, version and day, merged, slimmed and let go in time.

Written under hidden names, then committed, then renamed: after a crash `recover` renames what was committed
and deletes what was not, so no record is there twice or not at all.
"""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from driftgate.monitoring.archive.files import (
    DAY_US,
    UNFINISHED,
    Ages,
    ArchiveFile,
    day_of,
    expired,
    file_path,
    finished,
    hidden,
    next_merge,
    next_slimming,
)
from driftgate.monitoring.archive.parquet import merge_files, release_memory, table_of, write_table
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.reader import ReadBlock

OnProblem = Callable[[str], None]


class Archiver:
    """Gathers blocks and writes them. What `write` returned is visible after `publish`."""

    def __init__(self, root: Path, db: MonitorDb, ages: Ages, on_problem: OnProblem) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root
        self._db = db
        self._ages = ages
        self._on_problem = on_problem
        self._gathered: dict[tuple[str, int, int], list[ReadBlock]] = {}
        self.waiting_rows = 0
        self.waiting_bytes = 0
        self.unarchived_rows = 0
        """Rows that the last `write` had to leave out."""

    def add(self, read: ReadBlock) -> None:
        """Gather a block for the next `write`."""
        header = read.block.header
        key = header.model, header.version, header.first_us // DAY_US
        self._gathered.setdefault(key, []).append(read)
        self.waiting_rows += header.records
        self.waiting_bytes += len(read.block.payload)

    def write(self) -> tuple[ArchiveFile, ...]:
        """Write what was gathered under hidden names, without forgetting it; raise OSError if that fails."""
        files: list[ArchiveFile] = []
        self.unarchived_rows = 0
        try:
            for reads in self._gathered.values():
                files += self._write_group(reads)
        except OSError:
            self.discard(files)
            raise
        finally:
            release_memory()
        return tuple(files)

    def discard(self, files: Iterable[ArchiveFile]) -> None:
        """Remove files that were written and not committed."""
        for file in files:
            hidden(self._root / file.path).unlink(missing_ok=True)

    def publish(self, files: tuple[ArchiveFile, ...]) -> None:
        """Give committed files their names; what was gathered is done with."""
        self._gathered = {}
        self.waiting_rows = self.waiting_bytes = 0
        self._show(files)

    def recover(self) -> None:
        """Finish what a monitor that was killed had committed, and remove what it had not."""
        committed = {self._root / file.path for file in self._db.files()}
        for unfinished in self._root.rglob(f".*{UNFINISHED}"):
            path = finished(unfinished)
            if path in committed and not path.exists():
                os.rename(unfinished, path)
            else:
                unfinished.unlink()
        self._delete_leaving()

    def tidy(self, now_us: int) -> bool:
        """Merge, slim or delete some files; return whether there may be more to do."""
        files = self._db.files()
        gone = [file for file in files if not (self._root / file.path).exists()]
        gone += expired(files, now_us, self._ages)
        slimming = next_slimming(files, now_us, self._ages)
        if gone:
            self._db.replace_files(gone, ())
            self._delete_leaving()
        elif slimming is not None:
            self._rewrite([slimming], slim=True)
        elif merge := next_merge(files, now_us):
            self._rewrite(list(merge), slim=False)
        else:
            return False
        return True

    def _write_group(self, reads: list[ReadBlock]) -> Iterator[ArchiveFile]:
        header = reads[0].block.header
        model, version = header.model, header.version
        try:
            table = table_of(reads)
        except Exception as error:  # one model's odd records must not stop the archive of all others
            lost = sum(read.block.header.records for read in reads)
            self.unarchived_rows += lost
            self._on_problem(f"{lost} records of {model} cannot be archived: {type(error).__name__}: {error}")
            return
        first_us = min(read.block.header.first_us for read in reads)
        path = file_path(model, version, first_us, uuid.uuid4().hex[:12])
        yield ArchiveFile(
            path=path,
            model=model,
            version=version,
            day=day_of(header.first_us),
            level=0,
            rows=len(table),
            size_bytes=write_table(table, self._root / path),
            first_us=first_us,
            last_us=max(read.block.header.last_us for read in reads),
        )

    def _rewrite(self, old: list[ArchiveFile], slim: bool) -> None:
        """Put one file in the place of several. For a moment a reader may see both, or neither."""
        first = old[0]
        path = file_path(first.model, first.version, first.first_us, uuid.uuid4().hex[:12])
        size = merge_files([self._root / file.path for file in old], self._root / path, slim)
        new = replace(
            first,
            path=path,
            level=max(file.level for file in old) + 1,
            rows=sum(file.rows for file in old),
            size_bytes=size,
            first_us=min(file.first_us for file in old),
            last_us=max(file.last_us for file in old),
            slim=slim,
        )
        self._db.replace_files(old, (new,))
        self._delete_leaving()
        self._show((new,))

    def _show(self, files: Iterable[ArchiveFile]) -> None:
        for file in files:
            path = self._root / file.path
            os.rename(hidden(path), path)

    def _delete_leaving(self) -> None:
        paths = [self._root / path for path in self._db.leaving()]
        for path in paths:
            path.unlink(missing_ok=True)
        for directory in {path.parent for path in paths}:
            with suppress(OSError):
                directory.rmdir()
        self._db.forget_leaving()
