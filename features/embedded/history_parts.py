"""The history of a view: every row that was ever loaded, as Parquet beside the embedded store.

`<view>/history/<snapshot>-<part>.parquet`. The store itself keeps only what is newest; training needs what
was newest then. What counts is what was served: parts of a snapshot that was never finished, or that was gone
back from (`….parquet.rolled-back`), do not.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from driftgate.features.durable import sync_directory

HISTORY_DIRECTORY = "history"
ASIDE = ".rolled-back"
_PART = re.compile(rf"(\d{{12}})-(\d{{8}})\.parquet({re.escape(ASIDE)})?")


def history_directory(store: Path, view: str) -> Path:
    """Return where the history of a view lies in an embedded store."""
    return store / view / HISTORY_DIRECTORY


def put_parts(parts: Iterable[tuple[int, Path]], directory: Path, snapshot: int) -> None:
    """Make whole parts the history of a snapshot, durably; they stay where they are, too. Raises OSError.

    What lies there for this number or a later one is of a load that never ended, and is removed.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_parts(directory, snapshot)
    for part, path in parts:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.link(path, directory / f"{snapshot:012}-{part:08}.parquet")
    sync_directory(directory)


def remove_parts(directory: Path, snapshot: int) -> None:
    """Remove the parts of this snapshot and of later ones; raises OSError."""
    for match in _parts(directory):
        if int(match[1]) >= snapshot:
            (directory / match[0]).unlink()


def follow_rollback(directory: Path, snapshot: int, before: Iterable[int]) -> None:
    """Let the history be that of a snapshot that was gone back to, and of those read `before` it.

    The parts of others that are newer than the oldest of these are put aside, until somebody goes to one of
    them again. Raises OSError.
    """
    counting = {snapshot, *before}
    for match in _parts(directory):
        number, path = int(match[1]), directory / match[0]
        if match[3] and number in counting:
            path.rename(directory / match[0].removesuffix(ASIDE))
        elif not match[3] and number not in counting and number > min(counting):
            path.rename(directory / f"{match[0]}{ASIDE}")


def parts_of(directory: Path, newest: int | None = None) -> list[Path]:
    """Return the parts that count, the newest snapshot first, its parts as they were loaded.

    `newest` is the newest snapshot that was ever finished; None where that is not known.
    """
    found = [match for match in _parts(directory) if not match[3]]
    found.sort(key=lambda match: (-int(match[1]), int(match[2])))
    return [directory / match[0] for match in found if newest is None or int(match[1]) <= newest]


def _parts(directory: Path) -> list[re.Match[str]]:
    if not directory.is_dir():
        return []
    return [match for path in directory.iterdir() if (match := _PART.fullmatch(path.name))]
