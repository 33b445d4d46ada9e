"""What windows say over time: rows, errors and latency of each arm, in a few hundred steps. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from driftgate.gateway.dashboard.quantiles import Latency, latency_of_cells
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.features import LATENCY_CELLS
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.observed import LATENCY
from driftgate.monitoring.windows.pane import CountedPane, PaneKey

MOST_STEPS = 300
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400)


class ArmHistory(msgspec.Struct, frozen=True):
    """Columns of equal length, one entry for each step that has a window; times in Unix microseconds.

    `late` rows came when their window was complete. Latencies are None where no row was answered.
    """

    version: int
    arm: str
    start_us: tuple[int, ...]
    rows: tuple[int, ...]
    refused: tuple[int, ...]
    failed: tuple[int, ...]
    late: tuple[int, ...]
    p50_ms: tuple[float | None, ...]
    p90_ms: tuple[float | None, ...]
    p99_ms: tuple[float | None, ...]


@dataclass
class _Step:
    rows: int = 0
    refused: int = 0
    failed: int = 0
    late: int = 0
    latency: Array = field(default_factory=lambda: np.zeros(0, np.int64))


def step_us(first_us: int, end_us: int, window_us: int) -> int:
    """Return the length of a step for a stretch of time: whole windows, at most MOST_STEPS if it can be."""
    lengths = (window_us, *(seconds * 1_000_000 for seconds in _SECONDS))
    fitting = [length for length in lengths if length >= window_us and length % window_us == 0]
    few = (length for length in fitting if (end_us - first_us) / length <= MOST_STEPS)
    return next(few, fitting[-1])


def history(
    panes: Iterable[tuple[PaneKey, CountedPane]], profiles: Mapping[str, ReferenceProfile], step: int
) -> tuple[ArmHistory, ...]:
    """Return the history of every version and arm, by version and arm; panes come in the order of time."""
    places = {name: latency_place(profile) for name, profile in profiles.items()}
    arms: dict[tuple[int, str], dict[int, _Step]] = {}
    for key, pane in panes:
        steps = arms.setdefault((key.version, key.arm), {})
        _add(steps.setdefault(key.start_us // step * step, _Step()), pane, places.get(key.profile))
    return tuple(_columns(version, arm, steps) for (version, arm), steps in sorted(arms.items()))


def latency_place(profile: ReferenceProfile) -> slice | None:
    """Return where a profile's counts of latency are."""
    offsets = profile.offsets()
    for place, feature in enumerate(profile.features):
        if feature.name == LATENCY:
            return slice(int(offsets[place]), int(offsets[place + 1]))
    return None


def _add(step: _Step, pane: CountedPane, latency: slice | None) -> None:
    step.rows += pane.rows
    step.late += pane.late_rows
    step.refused += pane.quality.refused
    step.failed += pane.quality.failed
    if latency is not None:
        counts = pane.counts[latency]
        step.latency = step.latency + counts if len(step.latency) == len(counts) else counts


def _columns(version: int, arm: str, steps: Mapping[int, _Step]) -> ArmHistory:
    ordered = sorted(steps.items())
    latencies = [_latency(step) for _, step in ordered]
    return ArmHistory(
        version=version,
        arm=arm,
        start_us=tuple(start for start, _ in ordered),
        rows=tuple(step.rows for _, step in ordered),
        refused=tuple(step.refused for _, step in ordered),
        failed=tuple(step.failed for _, step in ordered),
        late=tuple(step.late for _, step in ordered),
        p50_ms=tuple(one.p50_ms for one in latencies),
        p90_ms=tuple(one.p90_ms for one in latencies),
        p99_ms=tuple(one.p99_ms for one in latencies),
    )


def _latency(step: _Step) -> Latency:
    if not len(step.latency):
        return Latency()
    return latency_of_cells(LATENCY_CELLS, step.latency.tolist())
