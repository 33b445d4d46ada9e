"""Cells: into which a feature's values are counted, frozen when its reference is made. Pure.

The cells of a feature never change with the data that come later, so counts add over workers and over
minutes, and one outlier cannot move the others. Every value is in exactly one cell of its feature.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array

QUANTILES = 16
MOST_VALUES = 100
MOST_DISTINCT = 1000
"""A column of texts with more different ones than this is watched as text, not by category."""

Precision = Literal["single", "double"]


class NumericCells(msgspec.Struct, frozen=True, tag="numeric"):
    """Intervals between ascending thresholds: cell i of the range is [thresholds[i], thresholds[i + 1]).

    The first threshold is the reference's minimum, the last the number after its maximum. In this order: null
    or NaN, below the minimum, the range, above the maximum, infinite, no number. `precision` is that of the
    values, which the thresholds can be written in.
    """

    NULL: ClassVar[int] = 0
    BELOW: ClassVar[int] = 1

    thresholds: tuple[float, ...]
    precision: Precision = "single"

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self.thresholds) + 4

    @property
    def above(self) -> int:
        """The cell above the reference's maximum."""
        return len(self.thresholds) + 1

    @property
    def infinite(self) -> int:
        """The cell of infinite values."""
        return len(self.thresholds) + 2

    @property
    def mistyped(self) -> int:
        """The cell of what is no number."""
        return len(self.thresholds) + 3

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the cells; the cell of one value has that value as its name."""
        edges = self.thresholds
        dtype = np.float32 if self.precision == "single" else np.float64
        after = {float(np.nextafter(dtype(edge), dtype(np.inf))): edge for edge in edges}
        inner = [_interval(low, high, after) for low, high in pairwise(edges)]
        low, high = edges[0], float(np.nextafter(dtype(edges[-1]), dtype(-np.inf)))
        return ("null", f"below {low:.6g}", *inner, f"above {high:.6g}", "infinite", "no number")


class CategoricalCells(msgspec.Struct, frozen=True, tag="categorical"):
    """The most frequent values of the reference, each on its own; `rare` ones share a cell.

    In this order: null, the values, rare in the reference, never seen in it, no text. `null_text` is the text
    that stands for null in the log.
    """

    NULL: ClassVar[int] = 0

    values: tuple[str, ...]
    rare: tuple[str, ...] = ()
    null_text: str = ""

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self.values) + 4

    @property
    def other(self) -> int:
        """The cell of values that are rare in the reference."""
        return len(self.values) + 1

    @property
    def new(self) -> int:
        """The cell of values that the reference does not have."""
        return len(self.values) + 2

    @property
    def mistyped(self) -> int:
        """The cell of what is no text."""
        return len(self.values) + 3

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the cells."""
        return ("null", *(f"= {value}" for value in self.values), "rare", "new", "no text")


Cells = NumericCells | CategoricalCells


def numeric_cells(values: Array, quantiles: int = QUANTILES) -> NumericCells:
    """Return the cells between the quantiles of finite values, float32 or float64; heavy atoms are cells.

    A value that is two quantiles at once holds about 1/quantiles of the values or more: it gets a cell of its
    own. Without any finite value there are two cells, below 0 and from 0 on.
    """
    dtype: Any = np.float64 if values.dtype == np.float64 else np.float32
    precision: Precision = "double" if dtype is np.float64 else "single"
    finite = values[np.isfinite(values)].astype(dtype, copy=False)
    if not len(finite):
        return NumericCells((0.0,), precision)
    at = np.linspace(0.0, 1.0, quantiles + 1)
    edges = np.quantile(finite, at, method="inverted_cdf").astype(dtype)
    unique, times = np.unique(edges, return_counts=True)
    after = np.nextafter(np.append(unique[times > 1], unique[-1:]), dtype(np.inf))
    thresholds = np.union1d(unique, after)
    return NumericCells(tuple(thresholds[np.isfinite(thresholds)].tolist()), precision)


def categorical_cells(counts: Mapping[str, int], null_text: str = "") -> CategoricalCells:
    """Return the cells of values that were seen so many times each; equally frequent ones go by name."""
    ordered = sorted(counts.keys() - {null_text}, key=lambda value: (-counts[value], value))
    return CategoricalCells(tuple(ordered[:MOST_VALUES]), tuple(ordered[MOST_VALUES:]), null_text)


def _interval(low: float, high: float, after: Mapping[float, float]) -> str:
    """Name an interval; `after` says which threshold a number is the next one of."""
    if after.get(high) == low:
        return f"= {low:.6g}"
    begin = f"over {after[low]:.6g}" if low in after else f"{low:.6g}"
    return f"{begin} to {high:.6g}"
