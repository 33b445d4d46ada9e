"""Snapshots of a view in the embedded store: which there are, which one is read, and going back to another.

`<root>/<view>/snap-<n>/` never changes once it has its name. `CURRENT` names the one that is read and is
replaced whole; `delta/` holds what was pushed since.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from driftgate.features.durable import only_one, replace_file
from driftgate.features.embedded.history_parts import follow_rollback, history_directory
from driftgate.features.errors import SnapshotUnknown, StoreDamaged, StoreError
from driftgate.features.lookup.store import NO_SNAPSHOT

FORMAT = 1
KEPT = 3
"""Snapshots that stay on disk: the one that is read, and some to go back to."""

_SNAPSHOT = re.compile(r"snap-([1-9][0-9]{0,8})")


class SnapshotInfo(msgspec.Struct, frozen=True):
    """What a snapshot is; kept in it as `snapshot.json`.

    `schema` is the schema id in hexadecimal, `digest` that of the declaration with which it was built;
    `after` is the snapshot that was read before it; `pushed` of the rows came by compaction, at most.
    """

    format: int
    number: int
    view: str
    schema: str
    digest: str
    rows: int
    created_at: str
    source: str
    after: int = NO_SNAPSHOT
    pushed: int = 0


class _Current(msgspec.Struct, frozen=True):
    format: int
    snapshot: int


@dataclass(frozen=True, slots=True)
class ViewFiles:
    """Where everything of one view lies below the root of the store."""

    root: Path
    view: str

    @property
    def directory(self) -> Path:
        """Everything of the view."""
        return self.root / self.view

    @property
    def current(self) -> Path:
        """Names the snapshot that is read."""
        return self.directory / "CURRENT"

    @property
    def delta(self) -> Path:
        """What was pushed."""
        return self.directory / "delta"

    @property
    def building(self) -> Path:
        """The snapshot that is being built."""
        return self.directory / ".building"

    @property
    def copying(self) -> Path:
        """The copy of a snapshot onto which another is going to be built."""
        return self.directory / ".copying"

    @property
    def loader_lock(self) -> Path:
        """Held while a snapshot is built or CURRENT is replaced."""
        return self.directory / ".loader.lock"

    @property
    def delta_lock(self) -> Path:
        """Held by the one process that writes the delta."""
        return self.directory / ".delta.lock"

    def snapshot(self, number: int) -> Path:
        """The files of one snapshot."""
        return self.directory / f"snap-{number}"


def current_snapshot(files: ViewFiles) -> int:
    """Return the number of the snapshot that is read, NO_SNAPSHOT if there is none.

    Raises StoreDamaged, also where there are snapshots and nothing says which one is read.
    """
    try:
        current = msgspec.json.decode(files.current.read_bytes(), type=_Current)
    except FileNotFoundError:
        if snapshot_numbers(files):
            raise StoreDamaged(
                f"CURRENT of the view {files.view!r} is missing: roll back or load it"
            ) from None
        return NO_SNAPSHOT
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreDamaged(
            f"CURRENT of the view {files.view!r} cannot be read: roll back or load it"
        ) from error
    _check_format(current.format, "CURRENT", files)
    return current.snapshot


def snapshots(files: ViewFiles) -> list[SnapshotInfo]:
    """Return the complete snapshots of a view, the oldest first; raises StoreDamaged."""
    return [snapshot_info(files, number) for number in snapshot_numbers(files)]


def snapshot_info(files: ViewFiles, number: int) -> SnapshotInfo:
    """Return what one snapshot is; raises SnapshotUnknown and StoreDamaged."""
    try:
        info = msgspec.json.decode((files.snapshot(number) / "snapshot.json").read_bytes(), type=SnapshotInfo)
    except FileNotFoundError:
        raise SnapshotUnknown(f"the view {files.view!r} has no snapshot {number}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreDamaged(
            f"snapshot {number} of the view {files.view!r} is damaged: load it again"
        ) from error
    _check_format(info.format, f"snapshot {number}", files)
    return info


def snapshot_numbers(files: ViewFiles) -> list[int]:
    """Return the numbers of the complete snapshots, rising."""
    with contextlib.suppress(FileNotFoundError):
        names = [_SNAPSHOT.fullmatch(entry.name) for entry in os.scandir(files.directory)]
        return sorted(int(name.group(1)) for name in names if name)
    return []


def previous_snapshot(files: ViewFiles, number: int) -> int:
    """Return the snapshot that was read before `number`, to which a rollback goes; NO_SNAPSHOT if none was.

    Where it is not there any more, or not known, it is the newest of those before.
    """
    earlier = [other for other in snapshot_numbers(files) if other < number]
    with contextlib.suppress(SnapshotUnknown, StoreDamaged):
        after = snapshot_info(files, number).after
        if after in earlier:
            return after
    return max(earlier, default=NO_SNAPSHOT)


def rollback(files: ViewFiles, number: int | None = None) -> SnapshotInfo:
    """Make readers go back to a snapshot, the previous one if none is named, and return what it is.

    Where CURRENT is damaged or missing, the previous one is the newest there is. Raises SnapshotUnknown,
    StoreDamaged, StoreError, and StoreBusy while one is being built.
    """
    with only_one(files.loader_lock, f"loading the view {files.view!r}"):
        target = _previous(files) if number is None else number
        if target == NO_SNAPSHOT:
            raise SnapshotUnknown(f"the view {files.view!r} has no earlier snapshot to go back to")
        info = snapshot_info(files, target)
        make_current(files, target)
        try:
            follow_rollback(history_directory(files.root, files.view), target, _before(files, target))
        except OSError as error:
            raise StoreError(
                f"snapshot {target} is read now, but training still sees later ones: {error.strerror}"
            ) from error
        return info


def _before(files: ViewFiles, number: int) -> Iterator[int]:
    """Yield the snapshots that were read one after the other until `number` was, the last one first."""
    while (number := previous_snapshot(files, number)) != NO_SNAPSHOT:
        yield number


def _previous(files: ViewFiles) -> int:
    try:
        return previous_snapshot(files, current_snapshot(files))
    except StoreDamaged:
        return max(snapshot_numbers(files), default=NO_SNAPSHOT)


def make_current(files: ViewFiles, number: int) -> None:
    """Name the snapshot that is read; for the holder of the loader's lock."""
    replace_file(files.current, msgspec.json.encode(_Current(FORMAT, number)))


def remove_old(files: ViewFiles, keep: int = KEPT) -> None:
    """Remove all but the newest snapshots, never the current one; for the holder of the loader's lock.

    A reader that still has one open keeps it until it closes it.
    """
    for leaving in files.directory.glob(".leaving-*"):
        shutil.rmtree(leaving, ignore_errors=True)
    numbers, current = snapshot_numbers(files), current_snapshot(files)
    kept = {*numbers[-keep:], current, previous_snapshot(files, current)}
    for number in set(numbers) - kept:
        leaving = files.directory / f".leaving-{number}"
        files.snapshot(number).rename(leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def _check_format(found: int, what: str, files: ViewFiles) -> None:
    if found > FORMAT:
        raise StoreDamaged(
            f"{what} of the view {files.view!r} has format {found}; this Driftgate reads up to {FORMAT}. "
            "Upgrade Driftgate."
        )
