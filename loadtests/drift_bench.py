"""What evidence of drift costs: a window of a version, what is told and saved of it, and weeks of windows.

Run with `python -m loadtests.drift_bench`. Prints one figure per line with the goal beside it; ends with 1 if
a goal is missed. Times are CPU time, the least of many runs.
"""

import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
from msgspec.structs import replace

from driftgate.monitoring.drift.figures import version_figure
from driftgate.monitoring.drift.plan import DriftPlan, Judging
from driftgate.monitoring.drift.replay import Replayed, backtest_version
from driftgate.monitoring.drift.states import encode_drift
from driftgate.monitoring.drift.version_drift import StreamKey, VersionDrift
from driftgate.monitoring.reference.profile import PairCounts, ReferenceProfile
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US, CountedPane, Pane, PaneKey
from driftgate.monitoring.windows.pane_fold import PaneFold
from loadtests.figures import Figure, show_figures
from loadtests.fold_bench import WINDOW_ROWS, profile_of

DETECTOR_GOAL_US = 100.0
FEATURES = 50
REPEATS = 200
DIFFERENT = 20
TARGET = 1e6
DAYS = 30
DAY_US = 1440 * PANE_US
STABLE = StreamKey("stable", "")


def without_pairs(profile: ReferenceProfile) -> ReferenceProfile:
    """Return a profile of which features are watched alone."""
    return replace(profile, pairs=PairCounts())


def pane_of(profile: ReferenceProfile, seed: int = 9) -> Pane:
    """Return a window that looks like the reference."""
    rng = np.random.default_rng(seed)
    columns = [
        Observed(one.name, "input", rng.normal(size=WINDOW_ROWS).astype(np.float32))
        for one in profile.features
        if one.role == "input"
    ]
    fold = PaneFold(profile)
    pane = Pane.empty(fold.shape)
    fold.update(pane, CellCoder(profile).code(columns, WINDOW_ROWS))
    return pane


def measure_window(name: str, profile: ReferenceProfile, goal_us: float | None) -> Figure:
    """Take in one window after the other, without drift, and let the alarms look."""
    drift = VersionDrift(profile, DriftPlan(), lambda segment: None)
    panes = cycle([pane_of(profile, seed) for seed in range(DIFFERENT)])

    def step() -> None:
        drift.take({STABLE: next(panes)}, PANE_US)
        drift.look(TARGET, PANE_US)

    return Figure(f"a window of {FEATURES} features{name}", least_us(step), "us", goal_us)


def measure_telling(profile: ReferenceProfile) -> list[Figure]:
    """Say what there is, and encode what is saved."""
    drift = VersionDrift(profile, DriftPlan(), lambda segment: None)
    drift.take({STABLE: pane_of(profile)}, PANE_US)
    subject = ("m", 1, "reference")
    return [
        Figure("telling of it", least_us(lambda: version_figure(subject, drift, TARGET)), "us"),
        Figure("saving it", least_us(lambda: encode_drift(drift)), "us"),
        Figure("its saved state", len(encode_drift(drift)) / 1e6, "MB"),
    ]


def measure_backtest(profile: ReferenceProfile) -> Figure:
    """Go through weeks of one-minute windows, which are in memory."""
    pane = pane_of(profile)
    counted = CountedPane(pane.rows, 0, pane.counts, pane.quality, lambda: pane.sums)

    def find(model: str, first_us: int, end_us: int) -> list[tuple[PaneKey, CountedPane]]:
        starts = range(first_us, end_us, PANE_US)
        return [(PaneKey(model, 1, "stable", "", "reference", start), counted) for start in starts]

    replayed = Replayed("m", 1, "reference", profile, 0, DAYS * DAY_US, TARGET, Judging())
    began = time.process_time()
    backtest_version(replayed, find)
    return Figure(f"a back-test of {DAYS} days of it", time.process_time() - began, "s")


def least_us(step: Callable[[], object]) -> float:
    """Return the least CPU time of a step in microseconds."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time_ns()
        step()
        times.append(time.process_time_ns() - began)
    return min(times) / 1e3


def main() -> int:
    """Print all figures; return 1 if a goal is missed."""
    return show_figures(_all(profile_of(FEATURES)))


def _all(profile: ReferenceProfile) -> Iterator[Figure]:
    yield measure_window("", without_pairs(profile), DETECTOR_GOAL_US)
    yield measure_window(" and their pairs", profile, None)
    yield from measure_telling(profile)
    yield measure_backtest(profile)


if __name__ == "__main__":
    sys.exit(main())
