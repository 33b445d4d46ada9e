"""Files of the archive, `<model>/<day>/v<version>-<time>-<unique>.parquet`: which to merge or let go. Pure.

A file is written under a hidden name and renamed after the book (`monitor.db`) has it, so whoever reads the
directory sees each record once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

UNROUTED = "_unrouted"
"""Where requests are kept that named no model of ours."""
UNFINISHED = ".part"
MERGE_COUNT = 16
MERGED_BYTES = 512 * 2**20
"""Files are not merged beyond this."""
DAY_US = 86_400_000_000
SETTLED_US = 600_000_000
"""A day is merged for good when so much time has passed since its end."""


@dataclass(frozen=True)
class ArchiveFile:
    """One file as the book has it. Times are of its first and last record, in Unix microseconds.

    `level` counts how often its records have been merged; `slim` says that inputs were left out.
    """

    path: str
    model: str
    version: int
    day: str
    level: int
    rows: int
    size_bytes: int
    first_us: int
    last_us: int
    slim: bool = False


@dataclass(frozen=True)
class Ages:
    """How many days records are kept: whole, and without their inputs."""

    whole_days: int = 30
    slim_days: int = 120


def day_of(time_us: int) -> str:
    """Return the UTC day of a time, as `2026-01-31`."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d")


def start_of_day_us(day: str) -> int:
    """Return when a day begins, in Unix microseconds; raise ValueError if it is none."""
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1_000_000


def file_path(model: str, version: int, first_us: int, unique: str) -> str:
    """Return the path below the archive of a file whose first record is of `first_us`."""
    at = datetime.fromtimestamp(first_us // 1_000_000, UTC)
    return f"{model or UNROUTED}/{at:%Y-%m-%d}/v{version}-{at:%H%M%S}-{unique}.parquet"


def hidden(path: Path) -> Path:
    """Return the name under which a file is written."""
    return path.with_name(f".{path.name}{UNFINISHED}")


def finished(path: Path) -> Path:
    """Return the name that a file written as `path` is to have."""
    return path.with_name(path.name[1:].removesuffix(UNFINISHED))


def next_merge(files: Iterable[ArchiveFile], now_us: int) -> Sequence[ArchiveFile]:
    """Return files of one model, version and day that are to become one; empty if there is nothing to do."""
    small = [file for file in files if not file.slim and file.size_bytes < MERGED_BYTES]
    for (_, _, day), group in groupby(sorted(small, key=_kin), key=_kin):
        members = list(group)
        if now_us >= start_of_day_us(day) + DAY_US + SETTLED_US and len(members) > 1:
            return _within(members, MERGED_BYTES)
        by_level = sorted(members, key=lambda file: file.level)
        for _, same in groupby(by_level, key=lambda file: file.level):
            level = list(same)
            if len(level) >= MERGE_COUNT:
                return _within(level, MERGED_BYTES)
    return ()


def expired(files: Iterable[ArchiveFile], now_us: int, ages: Ages) -> list[ArchiveFile]:
    """Return files that nobody keeps any longer."""
    return [file for file in files if file.last_us < now_us - ages.slim_days * DAY_US]


def next_slimming(files: Iterable[ArchiveFile], now_us: int, ages: Ages) -> ArchiveFile | None:
    """Return a file whose inputs are to be left out from now on, or None."""
    oldest_us = now_us - ages.whole_days * DAY_US
    return next((file for file in files if not file.slim and file.last_us < oldest_us), None)


def _kin(file: ArchiveFile) -> tuple[str, int, str]:
    return file.model, file.version, file.day


def _within(files: list[ArchiveFile], most_bytes: int) -> list[ArchiveFile]:
    """Return as many of the files as fit, at least two, the oldest first."""
    chosen: list[ArchiveFile] = []
    size = 0
    for file in sorted(files, key=lambda file: file.first_us):
        if len(chosen) >= 2 and size + file.size_bytes > most_bytes:
            break
        chosen.append(file)
        size += file.size_bytes
    return chosen
