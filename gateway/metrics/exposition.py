"""`/metrics` for the whole machine, read from the slots' files at each scrape.

No process has to be asked, so it is answered while workers are busy and while control is dead. One damaged
file costs that slot's counts and nothing else, and is itself a metric.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.alerts import alert_metrics
from driftgate.gateway.metrics.desired import desired_metrics
from driftgate.gateway.metrics.drift import drift_metrics
from driftgate.gateway.metrics.features import feature_metrics
from driftgate.gateway.metrics.logs import log_metrics
from driftgate.gateway.metrics.processes import process_metrics
from driftgate.gateway.metrics.refusals import refusal_metrics
from driftgate.gateway.metrics.windows import window_metrics
from driftgate.gateway.state.beat import BeatReading, BeatState, read_beat
from driftgate.gateway.state.counters import (
    BATCH_LIMITS,
    ENCODE_NS,
    FAIL_NS,
    INFER_NS,
    LATENCY_LIMITS_S,
    NONFINITE,
    PARSE_NS,
    QUEUE_NS,
    ROWS,
    SHADOW_DROPPED,
    SHADOW_ROWS,
    SUCCESS_NS,
    CountedVersion,
    add_counters,
    read_counters,
)
from driftgate.gateway.state.integer_blocks import UnreadableBlocks
from driftgate.gateway.state.slots import beat_path, read_status, slot_numbers
from driftgate.gateway.state.status import SlotStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("UNAVAILABLE", "LOADING", "READY", "UNLOADING")
STAGES = (("parse", PARSE_NS), ("queue", QUEUE_NS), ("infer", INFER_NS), ("encode", ENCODE_NS))
_BY_VERSION = ["model", "version"]


def render(layout: StateLayout) -> bytes:
    """Return the exposition of everything that is counted on this machine, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Machine(layout))
    return generate_latest(registry)


def counted(layout: StateLayout) -> tuple[list[CountedVersion], int]:
    """Return the counts of all slots added up, and how many counter files could not be read."""
    readable: list[list[CountedVersion]] = []
    unreadable = 0
    for number in slot_numbers(layout):
        try:
            readable.append(read_counters(layout.counters(number)))
        except UnreadableBlocks:
            unreadable += 1
    return add_counters(iter(readable)), unreadable


class _Machine(Collector):
    def __init__(self, layout: StateLayout) -> None:
        self._layout = layout

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        versions, unreadable = counted(self._layout)
        yield from request_metrics(versions)
        yield from work_metrics(versions)
        slots = slot_numbers(self._layout)
        yield from slot_metrics(
            {number: read_beat(beat_path(self._layout, number)) for number in slots},
            {number: read_status(self._layout, number) for number in slots},
        )
        yield from desired_metrics(self._layout)
        yield from process_metrics(self._layout)
        yield from log_metrics(self._layout)
        yield from feature_metrics(self._layout)
        yield from window_metrics(self._layout)
        yield from drift_metrics(self._layout)
        yield from alert_metrics(self._layout)
        yield from refusal_metrics(self._layout)
        yield GaugeMetricFamily(
            "driftgate_unreadable_counter_files",
            "Counter files of slots that are damaged and left out of the counts.",
            value=unreadable,
        )


def request_metrics(versions: list[CountedVersion]) -> Iterator[Metric]:
    """Yield what clients saw: codes and latency. An empty model is unknown or was not looked at."""
    requests = CounterMetricFamily(
        "driftgate_requests", "Prediction requests answered, by status code.", labels=[*_BY_VERSION, "code"]
    )
    latency = HistogramMetricFamily(
        "driftgate_request_duration_seconds",
        "From the request's headers to its answer, without the network.",
        labels=_BY_VERSION,
    )
    for item in versions:
        for code, count in item.code_counts().items():
            requests.add_metric([item.model, item.version, str(code)], count)
        total_s = (item.cells[SUCCESS_NS] + item.cells[FAIL_NS]) / 1e9
        latency.add_metric(
            [item.model, item.version], _buckets(LATENCY_LIMITS_S, item.latency_counts), total_s
        )
    yield requests
    yield latency


def work_metrics(versions: list[CountedVersion]) -> Iterator[Metric]:
    """Yield what models did: rows, calls, batch sizes, time by stage, non-finite outputs."""
    rows = CounterMetricFamily("driftgate_rows", "Rows computed.", labels=_BY_VERSION)
    stages = CounterMetricFamily(
        "driftgate_stage_seconds", "Time of answered requests by stage.", labels=[*_BY_VERSION, "stage"]
    )
    batches = HistogramMetricFamily("driftgate_batch_rows", "Rows per call of the model.", labels=_BY_VERSION)
    nonfinite = CounterMetricFamily(
        "driftgate_nonfinite_outputs", "Answers that held NaN or infinity.", labels=_BY_VERSION
    )
    shadow_rows = CounterMetricFamily(
        "driftgate_shadow_rows", "Rows computed as a shadow, after their answers.", labels=_BY_VERSION
    )
    shadow_dropped = CounterMetricFamily(
        "driftgate_shadow_dropped_rows", "Rows that a shadow had no time for.", labels=_BY_VERSION
    )
    for item in versions:
        if not item.model:
            continue
        labels = [item.model, item.version]
        if item.cells[SHADOW_ROWS] or item.cells[SHADOW_DROPPED]:
            shadow_rows.add_metric(labels, item.cells[SHADOW_ROWS])
            shadow_dropped.add_metric(labels, item.cells[SHADOW_DROPPED])
        rows.add_metric(labels, item.cells[ROWS])
        nonfinite.add_metric(labels, item.cells[NONFINITE])
        batches.add_metric(labels, _buckets(BATCH_LIMITS, item.batch_counts), item.cells[ROWS])
        for stage, cell in STAGES:
            stages.add_metric([*labels, stage], item.cells[cell] / 1e9)
    yield from (rows, stages, batches, nonfinite, shadow_rows, shadow_dropped)


def slot_metrics(
    beats: dict[int, BeatReading | None], statuses: dict[int, SlotStatus | None]
) -> Iterator[Metric]:
    """Yield the state of the workers and of the versions in them."""
    generation = GaugeMetricFamily(
        "driftgate_generation", "Generation of the desired state in force.", labels=["slot"]
    )
    accepting = GaugeMetricFamily(
        "driftgate_worker_accepting", "1 while the worker takes requests.", labels=["slot"]
    )
    in_flight = GaugeMetricFamily(
        "driftgate_in_flight_requests", "Requests not yet answered.", labels=["slot"]
    )
    connections = GaugeMetricFamily("driftgate_connections", "Open client connections.", labels=["slot"])
    state = GaugeMetricFamily(
        "driftgate_model_state",
        "1 for the state of a version in a slot.",
        labels=[*_BY_VERSION, "slot", "state"],
    )
    for number, beat in beats.items():
        if beat is None or beat.state is BeatState.DEAD:
            continue
        slot = [str(number)]
        generation.add_metric(slot, beat.generation)
        accepting.add_metric(slot, beat.state is BeatState.ACCEPTING)
        in_flight.add_metric(slot, beat.in_flight)
        connections.add_metric(slot, beat.connections)
        for version in (statuses[number] or SlotStatus(number, "", 0)).versions:
            for name in STATES:
                state.add_metric([version.model, str(version.version), *slot, name], version.state == name)
    yield from (generation, accepting, in_flight, connections, state)


def _buckets(limits: tuple[float, ...], counts: tuple[int, ...]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for limit, count in zip((*map(str, map(float, limits)), "+Inf"), counts, strict=True):
        total += count
        buckets.append((limit, total))
    return buckets
