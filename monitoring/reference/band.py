"""How often each cell may be hit before that is evidence: reference shares with their sampling error. Pure.

The rule kept here: a reference is a sample. Evidence is taken only against shares outside of what its counts
allow: no cell of the model is misjudged, with probability 1 - `MISTAKE`.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.cells import CategoricalCells

MISTAKE = 0.01
RAREST = 1e-9
"""The lowest share that is told from never."""


@dataclass(frozen=True)
class Band:
    """Lowest, likeliest and highest share of rows in each cell; float64[cells], `high` above 0."""

    low: Array
    share: Array
    high: Array

    def __post_init__(self) -> None:
        if not ((self.low >= 0) & (self.low <= self.high) & (self.high <= 1)).all():
            raise ValueError("a band needs 0 <= low <= high <= 1 in every cell")


def reference_band(
    counts: Array,
    offsets: Array,
    tolerance: float = 0.0,
    judged_cells: int | None = None,
    rows: Array | None = None,
) -> Band:
    """Return the band of a reference's cells.

    `counts` int[cells] of all features, one after the other; feature f has cells offsets[f]:offsets[f + 1].
    `tolerance`: a change of a share that nobody minds (0: any change counts). `judged_cells`: among how many
    cells the mistake is shared, if they are more than these. `rows` int[features] of the reference: needed
    where rows may be in none of a feature's cells, as with a pair; else they are the sum of its cells. A
    feature without rows may have any share.

    share = (c + 1/2) / (m + K/2), K the number of cells, at least 2; the band is share -/+
    max(tolerance, z sqrt(share (1 - share) / m)), z = normal quantile of 1 - MISTAKE / (2 cells), widened
    where that covers too seldom (`_highest`).
    """
    found = np.add.reduceat(counts, offsets[:-1]) if rows is None else rows
    share, each = reference_shares(counts, offsets, found)
    z = NormalDist().inv_cdf(1 - MISTAKE / (2 * (judged_cells or len(counts))))
    trials = np.maximum(each, 1)
    error = np.maximum(tolerance, z * np.sqrt(share * (1 - share) / trials))
    high = np.maximum(share + error, _highest(counts, trials, z))
    low = np.minimum(share - error, 1 - _highest(trials - counts, trials, z))
    unknown = each <= 0
    return Band(
        np.where(unknown, 0.0, np.clip(low, 0.0, 1.0)),
        share,
        np.where(unknown, 1.0, np.clip(high, RAREST, 1.0)),
    )


def with_borderline(band: Band, profile: ReferenceProfile) -> Band:
    """Return the band of a profile's cells with more room for values that are rare in the reference.

    Which values have a cell of their own was chosen by the counts that the band is of. So many more rows are
    rare as would be if each row were asked what the others chose.
    """
    high = band.high.copy()
    for start, one in zip(profile.offsets().tolist(), profile.features, strict=False):
        if one.borderline and isinstance(one.cells, CategoricalCells):
            high[start + one.cells.other] += one.borderline / one.rows
    return Band(band.low, band.share, np.minimum(high, 1.0))


def reference_shares(counts: Array, offsets: Array, rows: Array) -> tuple[Array, Array]:
    """Return the likeliest shares of cells as in `reference_band`, and each cell's rows: float64[cells]."""
    sizes = np.diff(offsets)
    each = np.repeat(rows, sizes).astype(np.float64)
    return (counts + 0.5) / (each + 0.5 * np.repeat(np.maximum(sizes, 2), sizes)), each


def _highest(counts: Array, rows: Array, z: float) -> Array:
    """Return an upper limit of a share that holds for rare cells too, where the normal error is too small.

    The lower one of Wilson's score limit (1927) and Wilson and Hilferty's limit of a Poisson mean (1931,
    through chi-square with 2 c + 2 degrees); both cover at least as often as stated for counts below half.
    """
    square = z * z / rows
    seen = counts / rows
    root = np.sqrt(seen * (1 - seen) * square + square * square / 4)
    wilson = (seen + square / 2 + root) / (1 + square)
    more = counts + 1
    poisson = more * (1 - 1 / (9 * more) + z / (3 * np.sqrt(more))) ** 3 / rows
    return np.asarray(np.minimum(wilson, poisson))
