"""What can be said of rows without a reference: refusals, repeats, new values, stale features. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.space_saving import Frequent, SpaceSaving

MOST_HASHES = 256
_MIX = np.uint64(0x9E3779B97F4A7C15)
MOST_NAMED = 64
STATUS_CODES = 7
IN_ORDER = (0, 2, 6)
"""The status codes of stored features that are as they should be: fresh, null, sent by the client."""
NAMED_KEPT = 10
"""Of new values in a pane that is sealed."""


class QualityRecord(msgspec.Struct, frozen=True, array_like=True):
    """A PaneQuality as it is stored."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    repeat_rows: int = 0
    repeat_distinct: int = 0
    rows_by_hash: dict[int, int] = {}
    statuses: dict[str, list[int]] = {}
    new_values: dict[int, list[Frequent]] = {}
    mismatched: int = 0


class RepeatSample:
    """How many rows repeat another of their pane: of those whose hash is among the smallest.

    Which hashes are kept depends on all rows together, not on how they are split up or ordered. `rows` and
    `distinct` begin with what other panes had.
    """

    def __init__(
        self, rows: int = 0, distinct: int = 0, rows_by_hash: Mapping[int, int] | None = None
    ) -> None:
        self.rows_by_hash = dict(rows_by_hash or {})
        self._before = rows, distinct

    def update(self, hashes: Array) -> None:
        """Take the hashes of rows, uint64[rows]."""
        mixed = hashes * _MIX
        if len(self.rows_by_hash) >= MOST_HASHES:
            mixed = mixed[mixed <= np.uint64(max(self.rows_by_hash))]
        found, counts = np.unique(mixed, return_counts=True)
        self._add(zip(found[:MOST_HASHES].tolist(), counts[:MOST_HASHES].tolist(), strict=True))

    def merge(self, other: "RepeatSample") -> None:
        """Add the rows of another part of the same pane."""
        self._before = self._before[0] + other._before[0], self._before[1] + other._before[1]
        self._add(other.rows_by_hash.items())

    def settled(self) -> "RepeatSample":
        """Return it without the hashes, to be added to those of other panes."""
        return RepeatSample(self.rows, self.distinct)

    @property
    def rows(self) -> int:
        """Rows whose hash is kept."""
        return self._before[0] + sum(self.rows_by_hash.values())

    @property
    def distinct(self) -> int:
        """How many different ones they are."""
        return self._before[1] + len(self.rows_by_hash)

    def _add(self, counts: Iterable[tuple[int, int]]) -> None:
        kept = self.rows_by_hash
        for one, count in counts:
            kept[one] = kept.get(one, 0) + count
        if len(kept) > MOST_HASHES:
            self.rows_by_hash = {one: kept[one] for one in sorted(kept)[:MOST_HASHES]}


@dataclass(slots=True)
class PaneQuality:
    """Counts of requests and rows. `refused` got a 4xx, `failed` a 5xx.

    `mismatched` rows had columns that the profile lacks, or lacked some that it has.

    `statuses` count, by stored feature, the codes 0 (fresh), 1 (stale), 2 (null), 3 (missing), 4 (defaulted),
    5 (timed out) and 6 (sent by the client); `new_values` go by the place of their feature in the profile.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    mismatched: int = 0
    repeats: RepeatSample = field(default_factory=RepeatSample)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    new_values: dict[int, SpaceSaving] = field(default_factory=dict)

    def count_codes(self, codes: Array) -> None:
        """Count requests by the status that they got."""
        self.requests += len(codes)
        self.refused += int(((codes >= 400) & (codes < 500)).sum())
        self.failed += int((codes >= 500).sum())

    def count_statuses(self, names: Iterable[str], statuses: Array) -> None:
        """Count codes [rows, names] of stored features."""
        for name, column in zip(names, statuses.T, strict=True):
            found, counts = np.unique(column, return_counts=True)
            own = self.statuses.setdefault(name, Counter())
            own.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def count_new(self, place: int, values: Mapping[str, int]) -> None:
        """Count values of a feature that its reference does not have."""
        self.new_values.setdefault(place, SpaceSaving(MOST_NAMED)).update(values)

    def merge(self, other: "PaneQuality") -> None:
        """Add another pane's."""
        self.requests += other.requests
        self.refused += other.refused
        self.failed += other.failed
        self.mismatched += other.mismatched
        self.repeats.merge(other.repeats)
        for name, counts in other.statuses.items():
            self.statuses.setdefault(name, Counter()).update(counts)
        for place, values in other.new_values.items():
            self.new_values.setdefault(place, SpaceSaving(MOST_NAMED)).merge(values)

    def record(self, sealed: bool) -> QualityRecord:
        """Return it as it is stored; of a sealed pane only the most frequent new values are kept."""
        most = NAMED_KEPT if sealed else None
        repeats = self.repeats.settled() if sealed else self.repeats
        known = sum(repeats.rows_by_hash.values()), len(repeats.rows_by_hash)
        return QualityRecord(
            requests=self.requests,
            refused=self.refused,
            failed=self.failed,
            repeat_rows=repeats.rows - known[0],
            repeat_distinct=repeats.distinct - known[1],
            rows_by_hash=repeats.rows_by_hash,
            statuses={
                name: [counts[code] for code in range(STATUS_CODES)] for name, counts in self.statuses.items()
            },
            new_values={place: values.get(most) for place, values in self.new_values.items()},
            mismatched=self.mismatched,
        )


def restored(record: QualityRecord) -> PaneQuality:
    """Return what was stored."""
    return PaneQuality(
        requests=record.requests,
        refused=record.refused,
        failed=record.failed,
        mismatched=record.mismatched,
        repeats=RepeatSample(record.repeat_rows, record.repeat_distinct, record.rows_by_hash),
        statuses={name: Counter(dict(enumerate(counts))) for name, counts in record.statuses.items()},
        new_values={place: SpaceSaving(MOST_NAMED, values) for place, values in record.new_values.items()},
    )
