"""What the workers read of stored features, as metrics: added up over the slots' files at each scrape."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.feature_counters import (
    AGE_LIMITS_S,
    AGE_S,
    BUCKET_CELLS,
    CACHED_BYTES,
    CELLS,
    FAULT_CELLS,
    FAULTS,
    FETCH_LIMITS_S,
    FETCH_NS,
    LAYOUT,
    ROWS_CACHED,
    ROWS_FETCHED,
    ROWS_JOINED,
    SNAPSHOT,
    STATUS_CELLS,
    STATUSES,
    STORE_DOWN,
    TIMEOUTS,
    TRIPS_ENDED,
    TRIPS_FAILED,
)
from driftgate.gateway.state.integer_blocks import Block, UnreadableBlocks, read_blocks
from driftgate.gateway.state.skew_counters import SKEW_RESULTS, SkewKey, read_skew
from driftgate.gateway.state.slots import slot_numbers

Cells = tuple[int, ...]
Total = Mapping[tuple[str, str], Cells]


def feature_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield what is counted of features, nothing while no version reads any; damaged files count nothing."""
    slots: dict[int, list[Block]] = {}
    for number in slot_numbers(layout):
        try:
            slots[number] = read_blocks(layout.feature_counters(number), LAYOUT)
        except UnreadableBlocks:
            continue
    total = _total(block for blocks in slots.values() for block in blocks)
    if any(view for view, _ in total):
        yield from _values(total)
        yield from _skew(layout)
        yield from _store(total)
        yield from _remote(total)
        yield from _snapshots(slots)


def _total(blocks: Iterable[Block]) -> Total:
    total: dict[tuple[str, str], Cells] = {}
    for (view, feature), cells in blocks:
        before = total.get((view, feature), (0,) * CELLS)
        total[view, feature] = tuple(a + b for a, b in zip(before, cells, strict=True))
    return total


def _values(total: Total) -> Iterator[Metric]:
    values = CounterMetricFamily(
        "driftgate_feature_values", "Values that were looked up, by status.", labels=["view", "status"]
    )
    ages = HistogramMetricFamily(
        "driftgate_feature_age_seconds", "How long before the look-up an entity's event was.", labels=["view"]
    )
    unusable = CounterMetricFamily(
        "driftgate_feature_rows_unusable",
        "Stored rows that were not used, by reason.",
        labels=["view", "reason"],
    )
    not_fresh = CounterMetricFamily(
        "driftgate_feature_values_not_fresh",
        "Values of one feature that were not fresh, by status.",
        labels=["view", "feature", "status"],
    )
    for (view, feature), cells in total.items():
        counted = [(status.name.lower(), cells[STATUS_CELLS + status]) for status in STATUSES]
        for status, count in counted:
            if count and feature:
                not_fresh.add_metric([view, feature, status], count)
            elif count and view:
                values.add_metric([view, status], count)
        if view and not feature:
            ages.add_metric([view], _buckets(AGE_LIMITS_S, cells), cells[AGE_S])
            for place, fault in enumerate(FAULTS, FAULT_CELLS):
                if cells[place]:
                    unusable.add_metric([view, fault.value], cells[place])
    yield from (values, ages, unusable, not_fresh)


def _skew(layout: StateLayout) -> Iterator[Metric]:
    skew = CounterMetricFamily(
        "driftgate_feature_skew_rows",
        "Rows whose request carried a value that may be stored too, by what came of comparing them.",
        labels=[*SkewKey._fields, "result"],
    )
    for key, counted in read_skew([layout.slot(number) for number in slot_numbers(layout)]).items():
        for result in SKEW_RESULTS:
            if count := getattr(counted, result):
                skew.add_metric([*key, result], count)
    yield skew


def _store(total: Total) -> Iterator[Metric]:
    cells = total.get(("", ""), (0,) * CELLS)
    took = HistogramMetricFamily(
        "driftgate_feature_store_seconds", "From the question of a turn to the feature store to its answer."
    )
    took.add_metric([], _buckets(FETCH_LIMITS_S, cells), cells[FETCH_NS] / 1e9)
    yield took
    yield CounterMetricFamily(
        "driftgate_feature_store_timeouts",
        "Questions that the feature store did not answer whole in time.",
        value=cells[TIMEOUTS],
    )
    yield GaugeMetricFamily(
        "driftgate_feature_store_down",
        "Workers whose breaker is open: the feature store fails, and is not asked.",
        value=cells[STORE_DOWN],
    )


def _remote(total: Total) -> Iterator[Metric]:
    """What only a store that is far away has to tell."""
    cells = total.get(("", ""), (0,) * CELLS)
    if not cells[TRIPS_ENDED]:
        return
    rows = CounterMetricFamily(
        "driftgate_feature_store_rows",
        "Rows that turns wanted, by where they came from: remembered, fetched, or fetched for another turn.",
        labels=["source"],
    )
    for source, place in (("cached", ROWS_CACHED), ("fetched", ROWS_FETCHED), ("joined", ROWS_JOINED)):
        rows.add_metric([source], cells[place])
    trips = CounterMetricFamily(
        "driftgate_feature_store_round_trips", "Pipelines sent to the store, by result.", labels=["result"]
    )
    trips.add_metric(["ok"], cells[TRIPS_ENDED] - cells[TRIPS_FAILED])
    trips.add_metric(["failed"], cells[TRIPS_FAILED])
    yield from (rows, trips)
    yield GaugeMetricFamily(
        "driftgate_feature_cache_bytes", "Rows that workers remember.", value=cells[CACHED_BYTES]
    )


def _snapshots(slots: Mapping[int, list[Block]]) -> Iterator[Metric]:
    snapshot = GaugeMetricFamily(
        "driftgate_feature_snapshot", "Snapshot that is read, 0 for none.", labels=["view", "slot"]
    )
    for number, blocks in slots.items():
        for (view, feature), cells in blocks:
            if view and not feature:
                snapshot.add_metric([view, str(number)], cells[SNAPSHOT])
    yield snapshot


def _buckets(limits: tuple[float, ...], cells: Cells) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    counts = cells[BUCKET_CELLS : BUCKET_CELLS + len(limits) + 1]
    for limit, count in zip((*map(str, map(float, limits)), "+Inf"), counts, strict=True):
        total += count
        buckets.append((limit, total))
    return buckets
