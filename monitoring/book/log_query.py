"""Finding records on this machine: in the archive, and in what the logs hold beyond it. Reads only."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from driftgate.monitoring.archive.files import ArchiveFile
from driftgate.monitoring.archive.parquet import (
    chunks_of,
    export_tables,
    filter_table,
    join_tables,
    latest_rows,
    read_chunks,
    read_schema,
    read_table,
    table_of,
    version_records,
)
from driftgate.monitoring.archive.record_filter import RecordFilter, arrival_us
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.compare import VersionRecords
from driftgate.monitoring.log.reader import BootKey, Directories, LogReader, Position, ReadBlock

ANSWERED_WITHIN_US = 3_600_000_000
"""A record is written at most so long after its request arrived, whose time is in its prediction id."""
ATTEMPTS = 3

T = TypeVar("T")


class RecordsMoved(Exception):
    """Files were merged or deleted while they were read; trying again helps."""


class Places(NamedTuple):
    """Where the records of one gateway are."""

    db: Path
    archive: Path
    directories: Directories


@dataclass(frozen=True)
class _Known:
    files: Sequence[ArchiveFile]
    positions: dict[BootKey, Position]


def find_records(places: Places, wanted: RecordFilter, limit: int) -> list[dict[str, Any]]:
    """Return the latest records that are wanted, the latest first; raise RecordsMoved and sqlite3.Error."""
    return _tried(places, lambda known: _latest(places, known, wanted, limit))


def records_of(places: Places, prediction_id: str) -> list[dict[str, Any]]:
    """Return all records of a prediction, by row; raise ValueError if the id is none."""
    began_us = arrival_us(prediction_id)
    wanted = RecordFilter(
        prediction_id=str(UUID(prediction_id)),
        since_us=began_us - 1_000_000,
        until_us=began_us + ANSWERED_WITHIN_US,
    )
    found = find_records(places, wanted, 1_000_000)
    return sorted(found, key=lambda record: record.get("row", -1))


def records_of_version(places: Places, wanted: RecordFilter) -> VersionRecords | None:
    """Return all wanted records of one version as arrays, or None if there are none."""

    def read(known: _Known) -> VersionRecords | None:
        tables = [
            table
            for file in known.files
            if wanted.may_be_in(file) and len(table := read_table(places.archive / file.path, wanted))
        ]
        tables += _live_tables(places, known, wanted)
        return version_records(join_tables(tables)) if tables else None

    return _tried(places, read)


def each_version_records(places: Places, wanted: RecordFilter) -> Iterator[VersionRecords]:
    """Yield the wanted records of one version, some thousands at a time, then what is not archived yet.

    Files whose inputs have been let go are left out.

    Raises RecordsMoved, where what was yielded is not all, and sqlite3.Error.
    """
    known = _known(places.db)
    try:
        for file in known.files:
            if wanted.may_be_in(file) and not file.slim:
                yield from map(version_records, read_chunks(places.archive / file.path, wanted))
        for table in _live_tables(places, known, wanted):
            yield from map(version_records, chunks_of(table))
    except FileNotFoundError as error:
        raise RecordsMoved("files were moved while they were read; try again") from error


def export_records(places: Places, wanted: RecordFilter, path: Path) -> int:
    """Write all wanted records to one Parquet file, archived ones first; return how many there are."""

    def export(known: _Known) -> int:
        files = [file for file in known.files if wanted.may_be_in(file)]
        live = list(_live_tables(places, known, wanted))
        schemas = [read_schema(places.archive / file.path) for file in files]
        schemas += [table.schema for table in live]

        def tables() -> Iterator[Any]:
            yield from (read_table(places.archive / file.path, wanted) for file in files)
            yield from live

        return export_tables(tables(), schemas, path)

    return _tried(places, export)


def _tried(places: Places, read: Callable[[_Known], T]) -> T:
    for _ in range(ATTEMPTS):
        try:
            return read(_known(places.db))
        except FileNotFoundError:
            continue  # merged or archived meanwhile; the book knows where it is now
    raise RecordsMoved("files were moved while they were read; try again")


def _known(path: Path) -> _Known:
    """Return what the monitor has archived; nothing if there never was one."""
    if not path.exists():
        return _Known((), {})
    with closing(MonitorDb(path, read_only=True)) as db, db.one_moment():
        return _Known(db.files(), db.positions())


def _latest(places: Places, known: _Known, wanted: RecordFilter, limit: int) -> list[dict[str, Any]]:
    tables = list(_live_tables(places, known, wanted))
    found, oldest_us = 0, 2**62
    for file in sorted(known.files, key=lambda file: file.last_us, reverse=True):
        if found >= limit and file.last_us < oldest_us:
            break
        if not wanted.may_be_in(file):
            continue
        table = read_table(places.archive / file.path, wanted)
        if len(table):
            tables.append(table)
            found += len(table)
            oldest_us = min(oldest_us, file.first_us)
    return latest_rows(join_tables(tables), limit) if tables else []


def _live_tables(places: Places, known: _Known, wanted: RecordFilter) -> Iterator[Any]:
    """Yield what the logs hold that has not been archived, one table for each model and version."""
    groups: dict[tuple[str, int], list[ReadBlock]] = {}
    for found in LogReader(places.directories, known.positions).read(2**62):
        if isinstance(found, ReadBlock) and wanted.may_be_in_block(found.block.header):
            header = found.block.header
            groups.setdefault((header.model, header.version), []).append(found)
    for reads in groups.values():
        table = filter_table(table_of(reads), wanted)
        if len(table):
            yield table
