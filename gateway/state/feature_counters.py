"""What a slot counts of stored features: by view, by feature, and of the store itself.

A block is named (view, feature); that of a view has no feature, that of the store has neither. The number of
blocks is bounded, so that the series made of them are.
"""

from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from driftgate.features.lookup.resolve import Resolved
from driftgate.features.redis.breaker import BreakerState
from driftgate.features.redis.store import RedisFeatureStore
from driftgate.features.views.status import Fault, FeatureStatus
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.integer_blocks import BlockFile, BlockLayout, UnreadableBlocks, read_blocks
from driftgate.gateway.state.skew_counters import SkewCounters
from driftgate.gateway.state.slots import beat_path, slot_numbers

AGE_LIMITS_S = (1, 10, 60, 300, 900, 3600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
FETCH_LIMITS_S = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)

STATUSES = tuple(FeatureStatus)
FAULTS = tuple(Fault)

STATUS_CELLS = 0
"""By status: values, of a view or of a feature. Of a feature only those that were not fresh."""
FAULT_CELLS = 8
"""Of a view: entities by why stored rows were not used."""
SNAPSHOT, AGE_S, FETCH_NS, TIMEOUTS, STORE_DOWN = range(16, 21)
ROWS_CACHED, ROWS_FETCHED, ROWS_JOINED, TRIPS_ENDED, TRIPS_FAILED, CACHED_BYTES = range(6)
"""Of a store that is far away: where rows came from, what became of its round trips, what is remembered."""
BUCKET_CELLS = 24
CELLS = 40
LAYOUT = BlockLayout(b"DGFEATC1", key_bytes=512, cells=CELLS, max_blocks=2048)

_AGE_LIMITS_US = tuple(limit * 1_000_000 for limit in AGE_LIMITS_S)
_FULL = 2**63
"""Old rows fill a cell within weeks; a sum that begins anew is a restart to those who scrape it."""
_FETCH_LIMITS_NS = tuple(int(limit * 1e9) for limit in FETCH_LIMITS_S)


def snapshots_read(layout: StateLayout, view: str) -> dict[int, int]:
    """Return which snapshot of a view each living worker reads, by slot; 0 is none."""
    found: dict[int, int] = {}
    for slot in slot_numbers(layout):
        beat = read_beat(beat_path(layout, slot))
        if beat is None or beat.state is BeatState.DEAD:
            continue
        with suppress(UnreadableBlocks):
            blocks = read_blocks(layout.feature_counters(slot), LAYOUT)
            found[slot] = sum(cells[SNAPSHOT] for key, cells in blocks if key == (view, ""))
    return found


class FeatureCounters:
    """The features of one slot, opened for counting; a few additions for each turn.

    `skew` counts what requests send themselves, in a file beside `path`.
    """

    def __init__(self, path: Path) -> None:
        self._file = BlockFile(path, LAYOUT)
        self.skew = SkewCounters(path.parent)
        self._store = self._file.of("", "")
        self._store[STORE_DOWN] = self._store[CACHED_BYTES] = 0
        for view, feature in self._file.names():
            if view and not feature:
                self._file.of(view, "")[SNAPSHOT] = 0
        self._before = self._store[ROWS_CACHED : TRIPS_FAILED + 1].tolist()

    def fetched(self, took_ns: int, timed_out: bool) -> None:
        """Count one question to the store and how long its answer took."""
        cells = self._store
        cells[BUCKET_CELLS + bisect_left(_FETCH_LIMITS_NS, took_ns)] += 1
        cells[FETCH_NS] += took_ns
        cells[TIMEOUTS] += timed_out

    def remote(self, store: RedisFeatureStore) -> None:
        """Note what a store that is far away says of itself: it has counted since this process began."""
        rows, trips, cells = store.counts, store.round_trips, self._store
        now = (rows.cached, rows.fetched, rows.joined, trips.ended, trips.failed)
        for place, (before, count) in enumerate(zip(self._before, now, strict=True), ROWS_CACHED):
            cells[place] = before + count
        cells[CACHED_BYTES] = store.cached_bytes
        cells[STORE_DOWN] = store.breaker is not BreakerState.CLOSED

    def reading(self, snapshots: Mapping[str, int]) -> None:
        """Note which snapshot of each view is read now, whether or not anybody asks."""
        for view, number in snapshots.items():
            self._file.of(view, "")[SNAPSHOT] = number

    def resolved(self, found: Resolved, snapshot: int) -> None:
        """Count what became of the entities of one view: statuses, ages, and what was not used."""
        view, times = found.layout.view, found.event_time_us
        if found.is_fresh:
            self.fresh(view.name, snapshot, times.tolist(), found.status.size, found.now_us)
            return
        cells = self._file.of(view.name, "")
        cells[SNAPSHOT] = snapshot
        _count_ages(cells, times[times > 0].tolist(), found.now_us)
        for status in STATUSES:
            by_feature = (found.status == status).sum(axis=0).tolist()
            cells[STATUS_CELLS + status] += sum(by_feature)
            if status is not FeatureStatus.FRESH:
                for feature, count in zip(view.features, by_feature, strict=True):
                    if count:
                        self._file.of(view.name, feature.name)[STATUS_CELLS + status] += count
        for fault in found.faults.values():
            cells[FAULT_CELLS + FAULTS.index(fault)] += 1

    def fresh(self, view: str, snapshot: int, times_us: list[int], values: int, now_us: int) -> None:
        """Count so many values of entities of one view, all of them fresh, by the times of their events."""
        cells = self._file.of(view, "")
        cells[SNAPSHOT] = snapshot
        cells[STATUS_CELLS] += values
        _count_ages(cells, times_us, now_us)


def _count_ages(cells: memoryview, times_us: list[int], now_us: int) -> None:
    """Count how old entities are whose events are of these times."""
    if not times_us:
        return
    total_s = cells[AGE_S] + round((now_us * len(times_us) - sum(times_us)) / 1e6)
    cells[AGE_S] = total_s if 0 <= total_s < _FULL else 0
    newest = bisect_left(_AGE_LIMITS_US, now_us - max(times_us))
    if newest == bisect_left(_AGE_LIMITS_US, now_us - min(times_us)):
        cells[BUCKET_CELLS + newest] += len(times_us)
        return
    for at_us in times_us:
        cells[BUCKET_CELLS + bisect_left(_AGE_LIMITS_US, now_us - at_us)] += 1
