"""What an answer and its record say about the features that it was computed with.

`x-features: fresh=18,default=2;snapshot=7` counts the values by status and names the snapshot they are of;
where a version reads several views, each one's: `snapshot=plane:7/weather:12`. Pure.
"""

from typing import NamedTuple

import numpy as np

from driftgate.features.views.status import FeatureStatus
from driftgate.gateway.wire.inference import Array

Snapshots = tuple[tuple[str, int], ...]
"""The number of the snapshot that was read of each view, 0 where there is none."""

MOST_KNOWN = 4096
_WORDS = {
    FeatureStatus.FRESH: "fresh",
    FeatureStatus.STALE: "stale",
    FeatureStatus.NULL: "null",
    FeatureStatus.MISSING: "missing",
    FeatureStatus.DEFAULTED: "default",
    FeatureStatus.TIMEOUT: "timeout",
    FeatureStatus.SENT: "sent",
}
_SUBSTITUTES = (
    FeatureStatus.STALE,
    FeatureStatus.MISSING,
    FeatureStatus.DEFAULTED,
    FeatureStatus.TIMEOUT,
)
"""Where the model did not get what it should have got."""


class CompletedRows(NamedTuple):
    """The rows of all requests for one version in one turn, completed.

    `inputs` are the model's, `status` is uint8 [rows, features], `snapshots` are what was read, and
    `event_times` int64 [rows, views] when each view's event was (Unix microseconds, 0: nothing usable).
    """

    inputs: dict[str, Array]
    status: Array
    event_times: Array
    snapshots: Snapshots


class FeatureNotes(NamedTuple):
    """Of one request: where its rows begin among those that were completed, and the lines for its answer.

    `entity_key` is that of its only row; empty where it has several, which no single key stands for.
    """

    rows: CompletedRows
    first: int
    fields: bytes
    entity_key: bytes

    def inputs(self, start: int, stop: int) -> dict[str, Array]:
        """Return the model's inputs for these rows of the request; all that was completed as it is."""
        first, last = self.first + start, self.first + stop
        if last - first == len(self.rows.status):
            return self.rows.inputs
        return {name: array[first:last] for name, array in self.rows.inputs.items()}

    def part(self, array: Array, start: int, stop: int) -> Array:
        """Return what an array of all the completed rows has of these rows of the request."""
        return array[self.first + start : self.first + stop]


class Summaries:
    """Header lines by what they say: there are few, and most say the same."""

    def __init__(self) -> None:
        self._fresh: dict[tuple[int, Snapshots], bytes] = {}
        self._mixed: dict[tuple[bytes, Snapshots], bytes] = {}

    def all_fresh(self, count: int, snapshots: Snapshots) -> bytes:
        """Return the header lines of a request all of whose `count` values are fresh."""
        known = self._fresh.get((count, snapshots))
        if known is None:
            _make_room(self._fresh)
            known = self._fresh[count, snapshots] = header_lines({FeatureStatus.FRESH: count}, snapshots)
        return known

    def mixed(self, status: Array, snapshots: Snapshots) -> bytes:
        """Return the header lines of a request with these statuses."""
        counts = np.bincount(status.ravel(), minlength=len(FeatureStatus))
        key = (counts.tobytes(), snapshots)
        known = self._mixed.get(key)
        if known is None:
            _make_room(self._mixed)
            numbers = counts.tolist()
            known = self._mixed[key] = header_lines({s: numbers[s] for s in FeatureStatus}, snapshots)
        return known


def header_lines(counts: dict[FeatureStatus, int], snapshots: Snapshots) -> bytes:
    """Return `x-features`, and `x-defaulted` where something else stands for what should be stored."""
    listed = ",".join(f"{_WORDS[status]}={count}" for status, count in counts.items() if count)
    several = "/".join(f"{view}:{number}" for view, number in snapshots)
    text = str(snapshots[0][1]) if len(snapshots) == 1 else several
    lines = f"x-features: {listed};snapshot={text}\r\n"
    if any(counts.get(status) for status in _SUBSTITUTES):
        lines += "x-defaulted: features\r\n"
    return lines.encode()


def _make_room(known: dict[tuple[int, Snapshots], bytes] | dict[tuple[bytes, Snapshots], bytes]) -> None:
    if len(known) >= MOST_KNOWN:
        known.clear()
