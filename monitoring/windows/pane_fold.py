"""Rows in cells are added to panes: one count for all features, one matrix product for all pairs. Pure."""

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.cell_coder import CodedRows
from driftgate.monitoring.windows.numeric_coder import Numbers
from driftgate.monitoring.windows.pane import Pane, PaneShape
from driftgate.monitoring.windows.thinned_rows import (
    ABSENT,
    HeldRows,
    RowKeys,
    ThinnedRows,
    one_row_per_entity,
)

CUT_OFF = 1000.0
"""Of values in interquartile ranges from the median: one absurd value cannot drown the mean of a window."""

Rows = slice | Array


class PaneFold:
    """Adds coded rows to panes of one profile; what depends on the profile alone is worked out once."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self.shape = PaneShape.of(profile)
        self._offsets = profile.offsets()[:-1]
        self._centres = np.array([one.centre for one in profile.features])
        self._scales = 1 / np.array([one.spread for one in profile.features])
        places = {one.name: place for place, one in enumerate(profile.features)}
        self._paired = np.full(len(profile.features), -1, np.int64)
        self._medians = np.zeros(len(profile.features))
        for index, (name, median) in enumerate(
            zip(profile.pairs.features, profile.pairs.medians, strict=True)
        ):
            self._paired[places[name]] = index
            self._medians[places[name]] = median

    def update(self, pane: Pane, coded: CodedRows, rows: Rows = np.s_[:]) -> None:
        """Add the rows (all, a slice, or those of an index) to a pane."""
        codes = coded.codes[:, rows]
        pane.rows += codes.shape[1]
        places = np.add(codes, self._offsets[coded.features][:, None], dtype=np.intp)
        pane.counts += np.bincount(places.ravel(), minlength=len(pane.counts))
        above: list[tuple[Array, Array]] = []
        for numbers in coded.numbers:
            part = Numbers(numbers.features, numbers.values[:, rows])
            self._add_moments(pane, part)
            above.append(self._above(part))
        self._add_pairs(pane, above)
        if coded.keys is not None:
            self._thin(pane, coded.features, codes, coded.keys.taken(rows), above)

    def _add_moments(self, pane: Pane, numbers: Numbers) -> None:
        features, values = numbers
        if not values.shape[1]:
            return
        kind = values.dtype.type
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values - self._centres[features].astype(kind)[:, None]
            scaled *= self._scales[features].astype(kind)[:, None]
            np.clip(scaled, -CUT_OFF, CUT_OFF, out=scaled)
            unusable = ~np.isfinite(values)
            if unusable.any():
                scaled[unusable] = 0
                values = np.where(unusable, np.nan, values)
            pane.sums[features] += scaled.sum(axis=1, dtype=np.float64)
            pane.squares[features] += np.einsum("ij,ij->i", scaled, scaled)
            pane.lows[features] = np.fmin(pane.lows[features], np.fmin.reduce(values, axis=1))
            pane.highs[features] = np.fmax(pane.highs[features], np.fmax.reduce(values, axis=1))

    def _above(self, numbers: Numbers) -> tuple[Array, Array]:
        """Return the pairs' places of paired features, and whether values reach their median, as 0 and 1."""
        chosen = self._paired[numbers.features] >= 0
        features = numbers.features[chosen]
        values = numbers.values if chosen.all() else numbers.values[chosen]
        medians = self._medians[features].astype(values.dtype)
        with np.errstate(invalid="ignore"):
            return self._paired[features], (values >= medians[:, None]).astype(np.float32)

    def _add_pairs(self, pane: Pane, above: list[tuple[Array, Array]]) -> None:
        """Add BᵀB; float32 holds every count of so few rows exactly."""
        if not above or not self.shape.paired:
            return
        places = np.concatenate([place for place, _ in above])
        flags = np.concatenate([flag for _, flag in above]) if len(above) > 1 else above[0][1]
        for start in range(0, flags.shape[1], 2**24):
            part = flags[:, start : start + 2**24]
            pane.pairs[np.ix_(places, places)] += (part @ part.T).astype(np.int64)

    def _thin(
        self, pane: Pane, places: Array, codes: Array, keys: RowKeys, above: list[tuple[Array, Array]]
    ) -> None:
        """Count one row of each entity: `codes` uint8[places, rows] are of the features at these places."""
        chosen = np.flatnonzero(one_row_per_entity(*keys))
        cells = np.full((self.shape.features, len(chosen)), ABSENT, np.uint8)
        cells[places] = codes[:, chosen]
        flags = np.zeros((self.shape.paired, len(chosen)), bool)
        for paired, flag in above:
            flags[paired] = flag[:, chosen]
        if pane.thinned is None:
            pane.thinned = ThinnedRows.empty(self.shape.cells, self.shape.paired)
        pane.thinned.update(HeldRows(*keys.taken(chosen), cells, flags), self._offsets)
