"""Making a reference profile: rows come in chunks, and a fair sample of them becomes cells and counts.

Whether a row is kept depends on its priority alone, not on when or where it came: samples of parts merge to
the sample of the whole. The rows that are kept are those that the profile counts, so it claims what it saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from driftgate.monitoring.log.columns import Texts, texts_of_list
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.features import (
    age_feature,
    counted,
    features_of,
    latency_feature,
    paired,
)
from driftgate.monitoring.reference.profile import FORMAT, ReferenceProfile, Source, StoredNames
from driftgate.monitoring.windows.mixing import mixed
from driftgate.monitoring.windows.observed import AGE, LATENCY, Observed

_STEP = np.uint64(0x9E3779B97F4A7C15)
MOST_ROWS = 100_000
MOST_VALUES = 10_000_000
"""Of all rows that are kept; 2,000 features keep 5,000 rows."""


class ReferenceSample:
    """Rows of one model: `update` with chunks, `merge` samples, `get` the profile.

    `null_texts` are the texts that stand for null, by column; `stored` the features that complete its rows.
    """

    def __init__(
        self, null_texts: Mapping[str, str] | None = None, stored: StoredNames | None = None
    ) -> None:
        self.seen_rows = 0
        self.skipped_rows = 0
        """Rows whose columns were not those of the first."""
        self._null_texts = dict(null_texts or {})
        self._stored = stored or StoredNames()
        self._columns: list[Observed] = []
        self._priorities = np.zeros(0, np.uint64)
        self._waiting: list[tuple[Sequence[Observed], Array]] = []
        self._waiting_rows = 0
        self._highest: int | None = None
        """No row above this priority is among those that stay."""

    def update(self, columns: Sequence[Observed], priorities: Array) -> None:
        """Take rows; those with the smallest priorities (uint64[rows], see `row_priorities`) stay."""
        self.seen_rows += len(priorities)
        self._take(columns, priorities)

    def merge(self, other: "ReferenceSample") -> None:
        """Take the rows of another sample of the same model."""
        self.seen_rows += other.seen_rows
        self.skipped_rows += other.skipped_rows
        other._join()
        if other._columns:
            self._take(other._columns, other._priorities)

    def get(self, source: Source, first_us: int = 0, last_us: int = 0) -> ReferenceProfile:
        """Return the profile of the rows that are kept."""
        self._join()
        features = [
            feature
            for column in self._columns
            for feature in features_of(column, self._null_texts.get(column.name, ""))
        ]
        ages = [age_feature(AGE.format(view)) for view in self._stored.views]
        known = {feature.name for feature in features}
        features += [one for one in (latency_feature(LATENCY), *ages) if one.name not in known]
        profile = ReferenceProfile(
            format=FORMAT,
            source=source,
            rows=len(self._priorities),
            features=tuple(features),
            pairs=paired(features, self._columns),
            first_us=first_us,
            last_us=last_us,
            stored=self._stored.features,
        )
        return counted(profile, self._columns)

    def _take(self, columns: Sequence[Observed], priorities: Array) -> None:
        if not self._columns:
            self._columns = [replace(one, values=_taken(one.values, np.s_[:0])) for one in columns]
        elif _kinds(columns) != _kinds(self._columns):
            self.skipped_rows += len(priorities)
            return
        if self._highest is not None:
            low = np.flatnonzero(priorities <= np.uint64(self._highest))
            if len(low) < len(priorities):
                priorities = priorities[low]
                columns = [replace(one, values=_taken(one.values, low)) for one in columns]
        self._waiting.append((columns, priorities))
        self._waiting_rows += len(priorities)
        if self._waiting_rows > self._most_rows():
            self._join()

    def _most_rows(self) -> int:
        width = sum(_width(column.values) for column in self._columns)
        return max(1, min(MOST_ROWS, MOST_VALUES // max(1, width)))

    def _join(self) -> None:
        """Put what waits beside what is kept, and keep the smallest priorities, in their order."""
        parts = [(self._columns, self._priorities), *self._waiting]
        self._waiting, self._waiting_rows = [], 0
        priorities = np.concatenate([part for _, part in parts])
        kept = np.argsort(priorities, kind="stable")[: self._most_rows()]
        self._columns = [
            replace(mine, values=_taken(_joined([columns[place].values for columns, _ in parts]), kept))
            for place, mine in enumerate(self._columns)
        ]
        self._priorities = priorities[kept]
        if len(kept) == self._most_rows():
            self._highest = int(self._priorities[-1])


def row_priorities(first_row: int, rows: int) -> Array:
    """Return uint64[rows] that look random and depend on the number of the row alone (splitmix64)."""
    return mixed(np.arange(first_row + 1, first_row + rows + 1, dtype=np.uint64) * _STEP)


def _kinds(columns: Sequence[Observed]) -> list[tuple[str, str, int]]:
    return [
        (one.name, "text", 1)
        if isinstance(one.values, Texts)
        else (one.name, one.values.dtype.str, _width(one.values))
        for one in columns
    ]


def _width(values: Array | Texts) -> int:
    return 1 if isinstance(values, Texts) or values.ndim == 1 else int(values.shape[1])


def _joined(parts: Sequence[Array | Texts]) -> Array | Texts:
    texts = [part for part in parts if isinstance(part, Texts)]
    if texts:
        return texts_of_list([text for part in texts for text in part.tolist()])
    return np.concatenate([part for part in parts if not isinstance(part, Texts)])


def _taken(values: Array | Texts, rows: Array | slice) -> Array | Texts:
    if isinstance(values, Texts):
        return texts_of_list(np.array([*values.tolist(), ""], object)[:-1][rows].tolist())
    return values[rows]
