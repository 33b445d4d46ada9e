"""Where the writer's bytes go: segments that are rotated by size and age, within a quota on disk."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from driftgate.monitoring.log.policy import LogPolicy
from driftgate.monitoring.log.segments import (
    PRIVATE,
    SegmentFile,
    end_other_boots,
    free_room,
    sync_directory,
    used_bytes,
)

LOOK_EVERY_S = 1.0
"""How often a full quota is looked at again: somebody may have archived segments since."""


class QuotaFull(Exception):
    """The slot's log is as large as it may be, and nothing of it has been archived."""


class WritableSegment(Protocol):
    """A segment as the store uses it."""

    number: int
    size_bytes: int

    def write(self, data: bytes, durable: bool = False) -> None:
        """Append all of `data` or nothing; raise OSError."""

    def close(self) -> None:
        """Close the file."""


OpenSegment = Callable[[Path, str, int], WritableSegment]


class SegmentStore:
    """The segments of one boot, for the thread that writes them."""

    def __init__(
        self, directory: Path, boot: str, policy: LogPolicy, open_segment: OpenSegment = SegmentFile
    ) -> None:
        """Make the directory if need be and end the boots before this one. Raises OSError."""
        directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        end_other_boots(directory, boot)
        self.directory = directory
        self._boot = boot
        self._policy = policy
        self._open = open_segment
        self._file: WritableSegment | None = None
        self._opened_at = 0.0
        self._looked_at = 0.0
        self._before_bytes = used_bytes(directory)
        self.next_number = 0

    def write(self, data: bytes, now: float, beyond_quota: bool = False) -> None:
        """Append `data` whole or not at all; `now` is CLOCK_MONOTONIC in seconds.

        Raises QuotaFull (unless `beyond_quota`: a watermark is too small to matter) and OSError.
        """
        if not beyond_quota and not self.has_room(len(data), now):
            raise QuotaFull
        file = self._current(len(data), now)
        try:
            file.write(data, self._policy.mode == "fsync")
        except OSError:
            # What cannot be appended here may fit into another file; one that is empty is tried again.
            if file.size_bytes:
                self._leave()
            raise

    def has_room(self, size: int, now: float) -> bool:
        """Tell whether so many bytes fit into the quota, after deleting archived segments if they must go."""
        over = self._used() + size - self._policy.quota_bytes
        if over <= 0:
            return True
        if now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = now
        free_room(self.directory, over)
        self._count_again()
        return self._used() + size <= self._policy.quota_bytes

    def close(self) -> None:
        """Close the open segment, if any."""
        self._leave()

    def _used(self) -> int:
        return self._before_bytes + (self._file.size_bytes if self._file else 0)

    def _count_again(self) -> None:
        self._before_bytes = used_bytes(self.directory) - (self._file.size_bytes if self._file else 0)

    def _current(self, size: int, now: float) -> WritableSegment:
        file, policy = self._file, self._policy
        if file is not None and file.size_bytes:
            too_large = file.size_bytes + size > policy.segment_bytes
            if too_large or now - self._opened_at > policy.segment_age_s:
                self._leave()
        if self._file is None:
            file = self._open(self.directory, self._boot, self.next_number)
            self.next_number += 1
            if policy.mode == "fsync":
                sync_directory(self.directory)
            self._file = file
            self._opened_at = now
            self._count_again()
        return self._file

    def _leave(self) -> None:
        if self._file is not None:
            self._before_bytes += self._file.size_bytes
            self._file.close()
            self._file = None


def now_us() -> int:
    """Return the time in Unix microseconds."""
    return time.time_ns() // 1000
