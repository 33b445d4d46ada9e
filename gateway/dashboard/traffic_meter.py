"""How much each version answers now and how fast: counters of all slots, a minute ago and now."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from driftgate.gateway.dashboard.quantiles import latency_of
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.counters import (
    LATENCY_LIMITS_S,
    ROWS,
    CountedVersion,
    add_counters,
    read_counters,
)
from driftgate.gateway.state.integer_blocks import UnreadableBlocks
from driftgate.gateway.state.slots import slot_numbers

LOOK_EVERY_S = 2.0
OVER_S = 60.0
LIMITS_MS = tuple(limit * 1000 for limit in LATENCY_LIMITS_S)

Counted = Mapping[tuple[str, str], CountedVersion]


class VersionTraffic(msgspec.Struct, frozen=True):
    """What a version answered during the last `over_s` seconds, at most a minute.

    Requests refused got a 4xx, failed ones a 5xx. Latencies are from a request's headers to its answer.
    """

    over_s: float = 0.0
    rows_per_s: float = 0.0
    requests_per_s: float = 0.0
    refused_per_s: float = 0.0
    failed_per_s: float = 0.0
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None


class _Look(NamedTuple):
    at_s: float
    counted: Counted


class TrafficMeter:
    """Looks at the counters now and then. `monotonic` is in seconds."""

    def __init__(self, layout: StateLayout, monotonic: Callable[[], float]) -> None:
        self._layout = layout
        self._monotonic = monotonic
        self._looks: deque[_Look] = deque(maxlen=round(OVER_S / LOOK_EVERY_S) + 1)

    def look(self) -> None:
        """Read the counters of all slots; those of a damaged file are left out."""
        self._looks.append(_Look(self._monotonic(), _read(self._layout)))

    async def run(self) -> None:
        """Look every two seconds until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def traffic(self) -> dict[tuple[str, int], VersionTraffic]:
        """Return what every version answered lately, by model and number."""
        if len(self._looks) < 2:
            return {}
        first, last = self._looks[0], self._looks[-1]
        return {
            (model, int(version)): traffic_between(
                first.counted.get((model, version)), now, last.at_s - first.at_s
            )
            for (model, version), now in last.counted.items()
            if model and version.isdecimal()
        }


def traffic_between(before: CountedVersion | None, now: CountedVersion, seconds: float) -> VersionTraffic:
    """Return what was counted in between; `before` is None for a version that nobody had asked yet."""
    cells = (
        [max(0, b - a) for a, b in zip(before.cells, now.cells, strict=True)] if before else list(now.cells)
    )
    found = CountedVersion(now.model, now.version, tuple(cells))
    codes = found.code_counts()
    refused = sum(count for code, count in codes.items() if 400 <= code < 500)
    failed = sum(count for code, count in codes.items() if code >= 500)
    return VersionTraffic(
        seconds,
        found.cells[ROWS] / seconds,
        sum(codes.values()) / seconds,
        refused / seconds,
        failed / seconds,
        *latency_of(LIMITS_MS, found.latency_counts),
    )


def _read(layout: StateLayout) -> Counted:
    readable = []
    for number in slot_numbers(layout):
        try:
            readable.append(read_counters(layout.counters(number)))
        except UnreadableBlocks:
            continue
    return {(one.model, one.version): one for one in add_counters(iter(readable))}
