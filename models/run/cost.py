"""How long a version takes: measured once when it is loaded, predicted for every turn."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftgate.models.errors import RunError
from driftgate.models.run.runtime import Array, Session

MEASURED_ROWS = (1, 8, 64)
POINT_BUDGET_S = 0.008
"""Three points stay below 30 ms for a fast model, and 20 runs are enough for a stable minimum."""

MOST_RUNS = 20
PATIENCE_S = 1.0
"""A point that would take longer than this is left out and predicted from the smaller ones."""


@dataclass(frozen=True)
class CostModel:
    """Time of one call: `fixed_s + per_row_s * rows`, in seconds."""

    fixed_s: float
    per_row_s: float

    def seconds(self, rows: int) -> float:
        """Return the predicted time of one call with `rows` rows."""
        return self.fixed_s + self.per_row_s * rows


UNKNOWN_COST = CostModel(fixed_s=0.001, per_row_s=0.0)
"""For a version that has no examples and refuses made-up rows: slow enough to stay off the event loop."""


def measure_latency(session: Session, inputs: Mapping[str, Array]) -> dict[int, float]:
    """Warm the session up and return the best time in seconds by number of rows.

    `inputs` are rows that the model accepts; they are repeated to make 1, 8 and 64 of them. A model whose
    first dimension is fixed is measured with `inputs` as they are. Sizes that it refuses are left out.
    """
    rows = next((array.shape[0] for array in inputs.values() if array.ndim), 1)
    sizes = MEASURED_ROWS if session.signature.batched and rows else (rows,)
    found: dict[int, float] = {}
    for size in sizes:
        if found and predicted(found).seconds(size) > PATIENCE_S:
            break
        try:
            found[size] = _best_time(session, _resized(inputs, size) if size != rows else inputs)
        except RunError:
            continue
    return found


def predicted(latency: Mapping[int, float]) -> CostModel:
    """Return the line through the smallest and the largest measured size; one point counts as per row."""
    if not latency:
        return UNKNOWN_COST
    small, large = min(latency), max(latency)
    if small == large:
        return CostModel(0.0, latency[small] / max(small, 1))
    per_row_s = max(0.0, (latency[large] - latency[small]) / (large - small))
    return CostModel(max(0.0, latency[small] - per_row_s * small), per_row_s)


def _resized(inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
    return {name: array[np.arange(rows) % array.shape[0]] for name, array in inputs.items()}


def _best_time(session: Session, inputs: Mapping[str, Array]) -> float:
    best = spent = _time(session, inputs)
    for _ in range(MOST_RUNS):
        if spent > POINT_BUDGET_S:
            break
        took = _time(session, inputs)
        best, spent = min(best, took), spent + took
    return best


def _time(session: Session, inputs: Mapping[str, Array]) -> float:
    start = time.perf_counter()
    session.run(inputs)
    return time.perf_counter() - start
