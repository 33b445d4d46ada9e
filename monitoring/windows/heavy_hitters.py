"""Values of a text column that are so frequent that their rows get a segment, found in bounded memory.

A value's windows begin with a minute that has no rows yet, so that every window of it is whole.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.space_saving import Frequent, SpaceSaving
from driftgate.monitoring.windows.text_hash import hash_of, text_hashes

CAPACITY = 256
MOST_SEGMENTS = 16
LEAST_ROWS = 1000
LEAST_SHARE = 0.02
FORGET_ROWS = 1_000_000
"""After so many rows what came before counts half."""
MOST_AT_ONCE = 1000
MOST_CHARACTERS = 64


class HeavySegment(msgspec.Struct, frozen=True, array_like=True):
    """A value whose rows are kept apart from a minute on (its start, in Unix microseconds)."""

    value: str
    from_us: int


class HeavyState(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a column."""

    rows: int = 0
    counts: tuple[Frequent, ...] = ()
    segments: tuple[HeavySegment, ...] = ()


class HeavyHitters:
    """The frequent values of one column of one version."""

    def __init__(self, state: HeavyState | None = None) -> None:
        known = state or HeavyState()
        self._rows = known.rows
        self._counts = SpaceSaving(CAPACITY, known.counts)
        self._segments = {hash_of(one.value): one for one in known.segments}

    def update(self, texts: Texts) -> Array:
        """Count values; return their hashes, for `rows_by_segment`."""
        hashes = text_hashes(texts)
        _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        chosen = np.argsort(-counts, kind="stable")[:MOST_AT_ONCE]
        bounds = texts.offsets
        found: dict[str, int] = {}
        for row, count in zip(first[chosen].tolist(), counts[chosen].tolist(), strict=True):
            text = texts.data[bounds[row] : bounds[row + 1]].decode("utf-8", "replace")
            if 0 < len(text) <= MOST_CHARACTERS:
                found[text] = found.get(text, 0) + count
        self._counts.update(found)
        self._rows += len(texts)
        return hashes

    def rows_by_segment(self, hashes: Array, minute_us: int) -> Mapping[str, Array]:
        """Return the rows, as flags, of each value that has a segment in this minute."""
        return {
            one.value: hashes == np.uint64(known)
            for known, one in self._segments.items()
            if one.from_us <= minute_us
        }

    def choose(self, from_us: int) -> bool:
        """Give segments to values that are frequent by now, from a minute on; return whether any is new."""
        before = len(self._segments)
        if self._rows >= LEAST_ROWS:
            for one in self._counts.get(MOST_SEGMENTS):
                if one.count - one.error >= LEAST_SHARE * self._rows and len(self._segments) < MOST_SEGMENTS:
                    self._segments.setdefault(hash_of(one.value), HeavySegment(one.value, from_us))
        if self._rows >= FORGET_ROWS:
            self._rows //= 2
            self._counts = SpaceSaving(CAPACITY, _halved(self._counts.get()))
        return len(self._segments) > before

    @property
    def state(self) -> HeavyState:
        """What is remembered."""
        return HeavyState(self._rows, tuple(self._counts.get()), tuple(self._segments.values()))


def _halved(counts: Sequence[Frequent]) -> list[Frequent]:
    return [Frequent(one.value, one.count // 2, one.error // 2) for one in counts if one.count > 1]
