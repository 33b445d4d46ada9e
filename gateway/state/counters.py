"""What a slot counts, in a small memory-mapped file: exact after a crash, and cheap enough for the hot path.

One block of 64-bit integers per model version. Only the slot's event loop writes; anybody may read. The file
outlives the process, so counters never fall when a worker is restarted.
"""

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"DGCOUNT1"
HEADER_BYTES = 64
KEY_BYTES = 256
MAX_BLOCKS = 1024

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
BLOCK_BYTES = KEY_BYTES + 8 * CELLS
FILE_BYTES = HEADER_BYTES + MAX_BLOCKS * BLOCK_BYTES

_LATENCY_LIMITS_NS = tuple(int(limit * 1e9) for limit in LATENCY_LIMITS_S)
_CODE_CELL = {code: CODE_CELLS + place for place, code in enumerate(CODES)}


class UnreadableCounters(Exception):
    """A counter file that is not one, or is damaged."""


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
        self._blocks: dict[tuple[str, str], VersionCounters] = {}
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            known = _known_versions(descriptor)
            # A store into a page that a full disk cannot back would kill the process.
            os.posix_fallocate(descriptor, 0, FILE_BYTES)
            os.pwrite(descriptor, MAGIC, 0)
            self._view = memoryview(mmap.mmap(descriptor, FILE_BYTES))
        finally:
            os.close(descriptor)
        for index, key in enumerate(known):
            self._blocks[key] = self._counters(index)

    def of(self, model: str, version: str) -> VersionCounters:
        """Return the counters of a version, the same ones as before a restart.

        Beyond MAX_BLOCKS versions in the life of a slot, further ones share the block of the empty name.
        """
        key = (model, version)
        if key not in self._blocks:
            if len(self._blocks) >= MAX_BLOCKS - 1 and key != ("", ""):
                return self.of("", "")
            self._blocks[key] = self._append(key)
        return self._blocks[key]

    def _append(self, key: tuple[str, str]) -> VersionCounters:
        index = len(self._blocks)
        name = "\0".join(key).encode()
        start = HEADER_BYTES + index * BLOCK_BYTES
        self._view[start + 2 : start + 2 + len(name)] = name
        struct.pack_into("<H", self._view, start, len(name))
        return self._counters(index)

    def _counters(self, index: int) -> VersionCounters:
        start = HEADER_BYTES + index * BLOCK_BYTES + KEY_BYTES
        return VersionCounters(self._view[start : start + 8 * CELLS].cast("q"))


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
    """Return what a slot counted (nothing if it never did); raise UnreadableCounters if it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnreadableCounters(f"{path.name}: {error.strerror}") from error
    return _counted(data)


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


def _known_versions(descriptor: int) -> list[tuple[str, str]]:
    """The versions in an open file, in order; one that is new or damaged is emptied."""
    try:
        return [(item.model, item.version) for item in _counted(os.pread(descriptor, FILE_BYTES + 1, 0))]
    except UnreadableCounters:
        os.ftruncate(descriptor, 0)
        return []


def _counted(data: bytes) -> list[CountedVersion]:
    if len(data) != FILE_BYTES or data[:8] != MAGIC:
        raise UnreadableCounters("not a counter file of this version")
    found = []
    for start in range(HEADER_BYTES, FILE_BYTES, BLOCK_BYTES):
        (length,) = struct.unpack_from("<H", data, start)
        if length == 0:
            break
        try:
            model, version = data[start + 2 : start + 2 + length].decode().split("\0")
        except ValueError as error:
            raise UnreadableCounters(f"the block at byte {start} is damaged") from error
        cells = struct.unpack_from(f"<{CELLS}q", data, start + KEY_BYTES)
        found.append(CountedVersion(model, version, cells))
    return found
