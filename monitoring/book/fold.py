"""How many records there were: counts by model, version, arm, code and minute, which add over logs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from driftgate.monitoring.log.blocks import Block, numbers_of, texts_of
from driftgate.monitoring.windows.pane import PANE_US

_CODES = 2**16


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

    def update(self, blocks: Iterable[Block]) -> None:
        """Count the records of blocks; many at once cost least."""
        versions: dict[tuple[str, int], list[Block]] = {}
        for block in blocks:
            versions.setdefault((block.header.model, block.header.version), []).append(block)
        for (model, version), group in versions.items():
            self._update(model, version, group)

    def merge(self, other: "RecordCounts") -> None:
        """Add the counts of another fold."""
        self._counts.update(other._counts)

    def get(self) -> Mapping[CountKey, int]:
        """Return all counts."""
        return dict(self._counts)

    def _update(self, model: str, version: int, blocks: list[Block]) -> None:
        numbers, arms = numbers_of(blocks), texts_of(blocks, "arm")
        minutes = numbers["recorded_us"] // PANE_US
        together = (minutes * len(arms.texts) + arms.codes) * _CODES + numbers["code"]
        kinds, places = np.unique(together, return_inverse=True)
        records = np.bincount(places, np.maximum(numbers["rows"], 1))
        for kind, count in zip(kinds.tolist(), records.tolist(), strict=True):
            rest, code = divmod(kind, _CODES)
            minute, arm = divmod(rest, len(arms.texts))
            key = CountKey(model, version, arms.texts[arm], code, minute * PANE_US)
            self._counts[key] += int(count)


def late_records(block: Block, watermark_us: int) -> int:
    """Return how many records belong to minutes that ended before the watermark, so were thought complete."""
    if _end_of_pane(block.header.first_us) > watermark_us:
        return 0
    numbers = numbers_of([block])
    late = _end_of_pane(numbers["recorded_us"]) <= watermark_us
    return int(np.maximum(numbers["rows"], 1)[late].sum())


def _end_of_pane(time_us: Any) -> Any:
    return time_us // PANE_US * PANE_US + PANE_US
