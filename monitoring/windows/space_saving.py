"""The most frequent values of a stream in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi 2005).

With at most `capacity` different values the counts are exact. With more, a value's count is too high by at
most its `error`, and every value more frequent than rows / capacity is there.
"""

import heapq
from collections.abc import Iterable, Mapping

import msgspec


class Frequent(msgspec.Struct, frozen=True, array_like=True):
    """A value, how often it came at most, and how many of those may have been others."""

    value: str
    count: int
    error: int = 0


class SpaceSaving:
    """Counts values; `update`, `merge`, `get`."""

    def __init__(self, capacity: int, known: Iterable[Frequent] = ()) -> None:
        self.capacity = capacity
        self._counts = {one.value: one.count for one in known}
        self._errors = {one.value: one.error for one in known if one.error}
        self._heap = [(count, value) for value, count in self._counts.items()]
        heapq.heapify(self._heap)

    def update(self, counts: Mapping[str, int]) -> None:
        """Count values that came so many times each."""
        for value in sorted(counts):
            self._add(value, counts[value], 0)

    def merge(self, other: "SpaceSaving") -> None:
        """Add another's counts; the errors add up."""
        for one in other.get():
            self._add(one.value, one.count, one.error)

    def get(self, most: int | None = None) -> list[Frequent]:
        """Return the values, the most frequent first."""
        ordered = sorted(self._counts, key=lambda value: (-self._counts[value], value))
        return [Frequent(value, self._counts[value], self._errors.get(value, 0)) for value in ordered[:most]]

    def _add(self, value: str, count: int, error: int) -> None:
        if value not in self._counts and len(self._counts) >= self.capacity:
            replaced = self._pop_least()
            floor = self._counts.pop(replaced)
            self._errors.pop(replaced, None)
            self._counts[value] = floor
            error += floor
        self._counts[value] = self._counts.get(value, 0) + count
        if error:
            self._errors[value] = self._errors.get(value, 0) + error
        heapq.heappush(self._heap, (self._counts[value], value))
        if len(self._heap) > 4 * self.capacity:
            self._heap = [(count, value) for value, count in self._counts.items()]
            heapq.heapify(self._heap)

    def _pop_least(self) -> str:
        while True:
            count, value = heapq.heappop(self._heap)
            if self._counts.get(value) == count:
                return value
