"""What a slot counts of each model version: answers, rows, and how long they took.

A block is named (model, version). Only the slot's event loop writes.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from driftgate.gateway.state.integer_blocks import BlockFile, BlockLayout, read_blocks

LATENCY_LIMITS_S = (
    0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075,
    0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
BATCH_LIMITS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)
CODES = (200, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 431, 499, 500, 503, 504)

ROWS, EXECUTIONS, SUCCESS, SUCCESS_NS, FAIL, FAIL_NS = range(6)
QUEUE_NS, PARSE_NS, INFER_NS, ENCODE_NS, LAST_MS, NONFINITE = range(6, 12)
SHADOW_ROWS, SHADOW_DROPPED = range(12, 14)
CODE_CELLS = 16
LATENCY_CELLS = CODE_CELLS + len(CODES)
BATCH_CELLS = LATENCY_CELLS + len(LATENCY_LIMITS_S) + 1
CELLS = BATCH_CELLS + len(BATCH_LIMITS) + 1
LAYOUT = BlockLayout(b"DGCOUNT1", key_bytes=256, cells=CELLS, max_blocks=1024)

_LATENCY_LIMITS_NS = tuple(int(limit * 1e9) for limit in LATENCY_LIMITS_S)
_CODE_CELL = {code: CODE_CELLS + place for place, code in enumerate(CODES)}


class VersionCounters:
    """The cells of one model version. Every method is a few integer additions."""

    __slots__ = ("cells",)

    def __init__(self, cells: memoryview) -> None:
        self.cells = cells

    def answered(self, code: int, parse_ns: int, encode_ns: int, total_ns: int) -> None:
        """Count one request that was answered with `code` after `total_ns`."""
        cells = self.cells
        cells[_CODE_CELL.get(code, _CODE_CELL[500])] += 1
        cells[LATENCY_CELLS + bisect_left(_LATENCY_LIMITS_NS, total_ns)] += 1
        if code == 200:
            cells[SUCCESS] += 1
            cells[SUCCESS_NS] += total_ns
            cells[PARSE_NS] += parse_ns
            cells[ENCODE_NS] += encode_ns
        else:
            cells[FAIL] += 1
            cells[FAIL_NS] += total_ns

    def executed(self, rows: int, infer_ns: int, queue_ns: int, now_ms: int) -> None:
        """Count one call of the model with `rows` rows, whose requests waited `queue_ns` together."""
        cells = self.cells
        cells[EXECUTIONS] += 1
        cells[ROWS] += rows
        cells[INFER_NS] += infer_ns
        cells[QUEUE_NS] += queue_ns
        cells[LAST_MS] = now_ms
        cells[BATCH_CELLS + bisect_left(BATCH_LIMITS, rows)] += 1


class CounterFile:
    """The counter file of one slot, opened for writing."""

    def __init__(self, path: Path) -> None:
        self._file = BlockFile(path, LAYOUT)

    def of(self, model: str, version: str) -> VersionCounters:
        """Return the counters of a version, the same ones as before a restart.

        Versions that there is no room for share the block of the empty names.
        """
        return VersionCounters(self._file.of(model, version))


@dataclass(frozen=True)
class CountedVersion:
    """What one slot, or several added up, counted for one version; `cells` are indexed by this module."""

    model: str
    version: str
    cells: tuple[int, ...]

    def code_counts(self) -> dict[int, int]:
        """Answers by status code, without the codes never given."""
        counts = zip(CODES, self.cells[CODE_CELLS:LATENCY_CELLS], strict=True)
        return {code: count for code, count in counts if count}

    @property
    def latency_counts(self) -> tuple[int, ...]:
        """Answers per latency bucket; the last has no upper limit."""
        return self.cells[LATENCY_CELLS:BATCH_CELLS]

    @property
    def batch_counts(self) -> tuple[int, ...]:
        """Calls per bucket of rows; the last has no upper limit."""
        return self.cells[BATCH_CELLS:CELLS]


def read_counters(path: Path) -> list[CountedVersion]:
    """Return what a slot counted (nothing if it never did); raise UnreadableBlocks if it is damaged."""
    return [CountedVersion(*names, cells) for names, cells in read_blocks(path, LAYOUT)]


def add_counters(slots: Iterator[list[CountedVersion]]) -> list[CountedVersion]:
    """Add the counts of several slots; the time of the last inference is the latest."""
    total: dict[tuple[str, str], CountedVersion] = {}
    for counted in (item for slot in slots for item in slot):
        key = (counted.model, counted.version)
        total[key] = _sum(total[key], counted) if key in total else counted
    return [total[key] for key in sorted(total)]


def _sum(left: CountedVersion, right: CountedVersion) -> CountedVersion:
    cells = [a + b for a, b in zip(left.cells, right.cells, strict=True)]
    cells[LAST_MS] = max(left.cells[LAST_MS], right.cells[LAST_MS])
    return CountedVersion(left.model, left.version, tuple(cells))
