"""How many records there were: counts by model, version, arm, code and minute, which add over logs."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from driftgate.monitoring.log_blocks import Block
from driftgate.monitoring.log_columns import Texts
from driftgate.monitoring.records import numbers_of

PANE_US = 60_000_000


class CountKey(NamedTuple):
    """What is counted together. `pane_us` is the start of its minute, in Unix microseconds."""

    model: str
    version: int
    arm: str
    code: int
    pane_us: int


class RecordCounts:
    """Records counted; the same logs give the same counts, in whatever order and parts they are read."""

    def __init__(self) -> None:
        self._counts: Counter[CountKey] = Counter()

    def update(self, block: Block) -> None:
        """Count the records of a block."""
        header = block.header
        arms = block.requests["arm"]
        if not isinstance(arms, Texts):
            raise ValueError("the arms of a block must be texts")
        weights = np.maximum(numbers_of(block.requests["rows"]), 1)
        panes = numbers_of(block.requests["recorded_us"]) // PANE_US * PANE_US
        keys = zip(arms.tolist(), numbers_of(block.requests["code"]).tolist(), panes.tolist(), strict=True)
        for (arm, code, pane_us), weight in zip(keys, weights.tolist(), strict=True):
            self._counts[CountKey(header.model, header.version, arm, code, pane_us)] += weight

    def merge(self, other: "RecordCounts") -> None:
        """Add the counts of another fold."""
        self._counts.update(other._counts)

    def get(self) -> Mapping[CountKey, int]:
        """Return all counts."""
        return dict(self._counts)


def late_records(block: Block, watermark_us: int) -> int:
    """Return how many records belong to minutes that ended before the watermark, so were thought complete."""
    times = numbers_of(block.requests["recorded_us"])
    late = times // PANE_US * PANE_US + PANE_US <= watermark_us
    return int(np.maximum(numbers_of(block.requests["rows"]), 1)[late].sum())
