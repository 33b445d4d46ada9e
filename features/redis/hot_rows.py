"""A cache of rows in front of a distant store: each for a while, hot ones kept, memory bounded. Takes `now`.

Segmented LRU (Karedla, Love & Wherry 1994): a new key waits on probation; a second use protects it. A flood
of keys that are used once passes through the probation segment and never drives out the hot ones. A row that
has expired keeps its place until it is replaced, so that a hot key stays hot while it is fetched again.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec

RowT = TypeVar("RowT")

ENTRY_BYTES = 320
"""What an entry takes besides the bytes of its key and of its row."""
_PROTECTED_SHARE = 0.8


class KeptRow(msgspec.Struct, Generic[RowT], frozen=True, gc=False):
    """A row that is remembered until `expires_s`.

    There are 10^5 of them, and the garbage collector would stop a worker to look at each.
    """

    row: RowT
    size_bytes: int
    expires_s: float


class _Segment(Generic[RowT]):
    """Rows in the order of their use, and what they take."""

    def __init__(self) -> None:
        self.rows: OrderedDict[Hashable, KeptRow[RowT]] = OrderedDict()
        self.size_bytes = 0

    def add(self, key: Hashable, kept: KeptRow[RowT]) -> None:
        """Add a row as the last used one, or in the place of the one with its key."""
        known = self.rows.get(key)
        self.size_bytes += kept.size_bytes - (known.size_bytes if known else 0)
        self.rows[key] = kept

    def take(self, key: Hashable) -> KeptRow[RowT] | None:
        """Remove a row and return it."""
        kept = self.rows.pop(key, None)
        if kept is not None:
            self.size_bytes -= kept.size_bytes
        return kept

    def take_oldest(self) -> tuple[Hashable, KeptRow[RowT]]:
        """Remove the row that has not been used for longest."""
        key, kept = self.rows.popitem(last=False)
        self.size_bytes -= kept.size_bytes
        return key, kept


class HotRows(Generic[RowT]):
    """Rows by key; they and their places take at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._probation: _Segment[RowT] = _Segment()
        self._protected: _Segment[RowT] = _Segment()
        self._max_bytes = max_bytes
        self._protected_bytes = int(max_bytes * _PROTECTED_SHARE)

    def __len__(self) -> int:
        return len(self._probation.rows) + len(self._protected.rows)

    @property
    def size_bytes(self) -> int:
        """What the rows and their places take."""
        return self._probation.size_bytes + self._protected.size_bytes

    def get(self, key: Hashable, now: float) -> KeptRow[RowT] | None:
        """Return what is remembered under a key; None if nothing is, or not any more."""
        kept = self._protected.rows.get(key)
        if kept is not None:
            self._protected.rows.move_to_end(key)
        else:
            kept = self._probation.take(key)
            if kept is None:
                return None
            self._protect(key, kept)
        return kept if now < kept.expires_s else None

    def put(self, key: Hashable, row: RowT, size_bytes: int, expires_s: float) -> None:
        """Remember a row; `size_bytes` are those of it and of its key. The least promising ones make room."""
        segment = self._protected if key in self._protected.rows else self._probation
        segment.add(key, KeptRow(row, size_bytes + ENTRY_BYTES, expires_s))
        while self._probation.size_bytes + self._protected.size_bytes > self._max_bytes:
            (self._probation if self._probation.rows else self._protected).take_oldest()

    def _protect(self, key: Hashable, kept: KeptRow[RowT]) -> None:
        self._protected.add(key, kept)
        while self._protected.size_bytes > self._protected_bytes:
            self._probation.add(*self._protected.take_oldest())
