"""Skew: what clients send of a feature against what is stored of it, row by row. Pure.

Pairs are exact, so that one wrong unit or one forgotten update shows as it is; distributions that look alike
hide both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from driftgate.features.rows.layout import Array
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature

RELATIVE_TOLERANCE = 1e-5
ABSOLUTE_TOLERANCE = 1e-8
"""Of floats: what was rounded to single precision on its way is still the same."""


class FeatureSkew(msgspec.Struct, frozen=True):
    """Counts of rows in which a client sent a value, or there is one stored; they add.

    `compared` had both, `mismatched` of them differ and `stale` of them were older than the view's TTL;
    `missing` were sent and are not stored, `extra` are stored and were sent as null.
    """

    compared: int = 0
    mismatched: int = 0
    stale: int = 0
    missing: int = 0
    extra: int = 0

    def __add__(self, other: "FeatureSkew") -> "FeatureSkew":
        """Return the counts of both."""
        names = self.__struct_fields__
        return FeatureSkew(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def rows(self) -> int:
        """Rows with a value on either side."""
        return self.compared + self.missing + self.extra

    @property
    def mismatch_rate(self) -> float:
        """Share of compared rows that differ; 0 without any."""
        return self.mismatched / self.compared if self.compared else 0.0


@dataclass(frozen=True)
class SentColumn:
    """What clients sent: values [N] or [N, length], and which rows are null."""

    values: Array
    nulls: Array


@dataclass(frozen=True)
class StoredColumn:
    """What the store held: values [N] or [N, length], and the status [N] of each."""

    values: Array
    statuses: Array


class SkewRow(msgspec.Struct, frozen=True):
    """One feature in a report. `mismatch_rate` is of compared rows, the other rates of all."""

    feature: str
    rows: int
    mismatch_rate: float
    missing_rate: float
    extra_rate: float
    stale_rate: float


def compare(feature: Feature, sent: SentColumn, stored: StoredColumn) -> FeatureSkew:
    """Return the counts of one feature over N rows."""
    held = stored.statuses <= FeatureStatus.STALE
    given = ~sent.nulls & ~_nan_rows(sent.values)
    both = held & given
    differ = _differ(feature, sent.values[both], stored.values[both])
    return FeatureSkew(
        compared=int(np.count_nonzero(both)),
        mismatched=int(np.count_nonzero(differ)),
        stale=int(np.count_nonzero(stored.statuses[both] == FeatureStatus.STALE)),
        missing=int(np.count_nonzero(given & ~held)),
        extra=int(np.count_nonzero(held & ~given)),
    )


def skew_report(counts: Iterable[tuple[str, FeatureSkew]]) -> tuple[SkewRow, ...]:
    """Return one row per feature that was seen, the worst first."""
    rows = [
        SkewRow(
            name,
            skew.rows,
            skew.mismatch_rate,
            skew.missing / skew.rows,
            skew.extra / skew.rows,
            skew.stale / skew.rows,
        )
        for name, skew in counts
        if skew.rows
    ]
    return tuple(sorted(rows, key=lambda row: (-row.mismatch_rate, -row.missing_rate, row.feature)))


def _nan_rows(values: Array) -> Array:
    if values.dtype.kind != "f":
        return np.zeros(len(values), bool)
    return ~_every(~np.isnan(values))


def _differ(feature: Feature, sent: Array, stored: Array) -> Array:
    if feature.dtype in ("float32", "float64"):
        close = np.isclose(
            sent.astype(np.float64), stored.astype(np.float64), RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE
        )
        return ~_every(close)
    # As the model gets it: a whole number in a column of floats may have been rounded.
    return ~_every(np.asarray(sent == stored.astype(sent.dtype), bool))


def _every(cells: Array) -> Array:
    """Return for each row whether all its cells are true; without rows the width is not known."""
    return cells if cells.ndim == 1 else np.asarray(cells.all(axis=1))
