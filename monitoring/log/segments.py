"""Segments: the files of one slot's log, `<boot>-<number>.seg`, each written by one process, end to end.

A segment that has been archived is renamed to `.done`; then it may be deleted for room. The last segment of a
boot that has ended holds its END and nothing else.
"""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from driftgate.monitoring.log.frames import (
    MARK_FRAME_BYTES,
    NO_SEQUENCE,
    Kind,
    Mark,
    encode_mark,
    read_header,
    salt_of,
)

PRIVATE = 0o700
_NAME = re.compile(r"([0-9a-f]{32})-(\d{8})\.(seg|done)")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


@dataclass(frozen=True, order=True)
class Segment:
    """One file of a log. `archived` says that nobody needs to read it any more."""

    boot: str
    number: int
    path: Path
    archived: bool = False


class SegmentFile:
    """A segment that is being written; `size_bytes` is the end of its last whole write."""

    def __init__(self, directory: Path, boot: str, number: int) -> None:
        self.number = number
        self.path = directory / segment_name(boot, number)
        self.size_bytes = 0
        self._descriptor = os.open(self.path, _NEW, 0o600)

    def write(self, data: bytes, durable: bool = False) -> None:
        """Append all of `data`; `durable` waits until the disk has it.

        Raises OSError after taking back what was written of it.
        """
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:] if written else data)
            if durable:
                os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self.size_bytes += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def segment_name(boot: str, number: int, archived: bool = False) -> str:
    """Return the file name of a segment."""
    return f"{boot}-{number:08d}.{'done' if archived else 'seg'}"


def list_segments(directory: Path) -> list[Segment]:
    """Return the segments in a log directory by boot and number; none if there is no such directory."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = ((_NAME.fullmatch(name), name) for name in names)
    return sorted(
        Segment(match[1], int(match[2]), directory / name, match[3] == "done")
        for match, name in found
        if match
    )


def write_end_marker(directory: Path, boot: str, time_us: int | None = None) -> bool:
    """Say that a boot, whose process is gone, logs no more; return False if it never did or has an end.

    The time (default: now) is in Unix microseconds.
    """
    numbers = [segment.number for segment in list_segments(directory) if segment.boot == boot]
    if not numbers or has_ended(directory, boot, numbers[-1]):
        return False
    now_us = time.time_ns() // 1000 if time_us is None else time_us
    write_end(directory, boot, numbers[-1] + 1, NO_SEQUENCE, Mark(now_us))
    return True


def write_end(directory: Path, boot: str, number: int, sequence: int, mark: Mark) -> None:
    """Write the segment that ends a boot."""
    file = SegmentFile(directory, boot, number)
    try:
        file.write(encode_mark(Kind.END, sequence, mark, salt_of(boot)))
    finally:
        file.close()


def end_other_boots(directory: Path, boot: str) -> None:
    """End every boot in a log directory but `boot`; for the process that holds the slot's lease."""
    for other in {segment.boot for segment in list_segments(directory)} - {boot}:
        write_end_marker(directory, other)


def has_ended(directory: Path, boot: str, last: int) -> bool:
    """Tell whether the segment numbered `last` is the end of its boot."""
    for archived in (False, True):
        with contextlib.suppress(FileNotFoundError):
            path = directory / segment_name(boot, last, archived)
            if path.stat().st_size != MARK_FRAME_BYTES:
                return False
            header = read_header(path.read_bytes(), 0, salt_of(boot))
            return header is not None and header.kind == Kind.END
    return False


def free_room(directory: Path, bytes_wanted: int) -> int:
    """Delete archived segments, the oldest first, until so many bytes are free; return how many are."""
    freed = 0
    done = [segment for segment in list_segments(directory) if segment.archived]
    for segment in sorted(done, key=_modified):
        if freed >= bytes_wanted:
            break
        with contextlib.suppress(FileNotFoundError):
            size = segment.path.stat().st_size
            segment.path.unlink()
            freed += size
    return freed


def sync_directory(directory: Path) -> None:
    """Wait until the disk has the names of all files in a directory; raise OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def used_bytes(directory: Path) -> int:
    """Return the size of all segments in a log directory."""
    total = 0
    for segment in list_segments(directory):
        with contextlib.suppress(FileNotFoundError):
            total += segment.path.stat().st_size
    return total


def _modified(segment: Segment) -> tuple[float, Segment]:
    try:
        return segment.path.stat().st_mtime, segment
    except FileNotFoundError:
        return 0.0, segment
