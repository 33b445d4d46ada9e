"""Segments: the rows whose value of a declared feature is in one cell of the reference. Pure."""

from collections.abc import Iterator, Sequence

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import FeatureProfile, ReferenceProfile
from driftgate.monitoring.windows.cell_coder import CodedRows
from driftgate.monitoring.windows.cells import CategoricalCells, NumericCells

MOST_SEGMENTS = 24
"""Of one feature: its most frequent values, or the cells of its range."""


def segment_rows(
    profile: ReferenceProfile, declared: Sequence[str], coded: CodedRows, rows: Array | slice
) -> Iterator[tuple[str, Array]]:
    """Yield the segments that some of the rows are in, by name (`country=FR`), with these rows."""
    if not declared:
        return
    chosen = np.arange(coded.rows)[rows]
    for place, feature in enumerate(profile.features):
        if feature.name in declared and feature.rows:
            for row in np.flatnonzero(coded.features == place):
                codes = coded.codes[row, rows]
                for cell in np.unique(codes).tolist():
                    if cell in segment_cells(feature):
                        yield segment_name(feature, cell), chosen[codes == cell]


def segment_cells(feature: FeatureProfile) -> range:
    """Return the cells of a feature that are segments."""
    if isinstance(feature.cells, CategoricalCells):
        return range(1, 1 + min(MOST_SEGMENTS, len(feature.cells.values)))
    return range(NumericCells.BELOW + 1, min(feature.cells.above, MOST_SEGMENTS + 2))


def segment_name(feature: FeatureProfile, cell: int) -> str:
    """Return what people call a segment."""
    return f"{feature.name}={feature.cells.names[cell].removeprefix('= ')}"
