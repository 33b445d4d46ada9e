"""What the dashboard's pages cost the control process: a day and a week of windows of 50 features, two arms.

Run with `python -m loadtests.dashboard_bench`. Prints the time of every answer that a page asks for, as JSON,
and of the pages, with the goal beside them; ends with 1 if one takes too long. The first time reads all from
the disk; the next times are those of a page that is watched.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from driftgate.gateway.dashboard.window_reader import FeatureQuestion, WindowReader
from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.book.drift_tables import encode_evidence
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.profile import encode_profile, profile_id
from driftgate.monitoring.windows.pane import PANE_US, Pane, PaneKey
from loadtests.fold_bench import DAY_FEATURES, hour_of_panes, profile_of

PAGE_GOAL_MS = 300.0
MODEL, REPEATS = "bench", 5
DAY_US = 24 * 60 * PANE_US
DAYS = (1, 7)
PAGES: Mapping[str, tuple[str, ...]] = {
    "model": ("history", "evidence", "quality", "power"),
    "feature": ("feature",),
}


def write_days(layout: StateLayout, end_us: int) -> None:
    """Write a week of windows up to a time, and what a monitor sums of them."""
    for day in reversed(range(max(DAYS))):
        write_day(layout, end_us - day * DAY_US)
    db = MonitorDb(layout.monitor_db)
    while db.sum_next_hour():
        pass
    db.close()


def write_day(layout: StateLayout, end_us: int) -> None:
    """Write a day of windows up to a time, with their reference and the evidence after each."""
    profile = profile_of(DAY_FEATURES)
    data = encode_profile(profile)
    references = (Reference(MODEL, 1, 0, profile_id(data), profile, data),)
    rng = np.random.default_rng(9)
    db = MonitorDb(layout.monitor_db)
    for hour in range(24):
        panes = dict(_moved(hour_of_panes(profile, hour), profile_id(data), end_us - DAY_US))
        evidence = {key: encode_evidence(rng.exponential(3.0, len(profile.features))) for key in panes}
        db.commit(
            Checkpoint({}, windows=WindowChanges(end_us, panes, references=references, evidence=evidence))
        )
    db.close()


def answers(layout: StateLayout, first_us: int) -> dict[str, Callable[[], object]]:
    """Return what answers each question of the pages, of the time since `first_us`."""
    reader = WindowReader(layout)
    question = FeatureQuestion(MODEL, "feature_7", 1, "stable", 60, first_us)
    return {
        "history": lambda: reader.history(MODEL, first_us),
        "evidence": lambda: reader.evidence(MODEL, first_us),
        "quality": lambda: reader.quality(MODEL),
        "power": lambda: reader.power(MODEL),
        "feature": lambda: reader.feature(question),
    }


def measure(answer: Callable[[], object]) -> tuple[float, float, int]:
    """Return milliseconds of CPU of the first answer and of the fastest later one, and bytes of JSON."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        size = len(msgspec.json.encode(answer()))
        times.append((time.process_time() - began) * 1000)
    return times[0], min(times[1:]), size


def main() -> int:
    """Print all figures; return 1 if a page is too slow."""
    end_us = time.time_ns() // 1000 // PANE_US * PANE_US
    with tempfile.TemporaryDirectory() as directory:
        layout = StateLayout(Path(directory))
        write_days(layout, end_us)
        slow = [measure_days(layout, end_us, days) for days in DAYS]
    return int(any(slow))


def measure_days(layout: StateLayout, end_us: int, days: int) -> bool:
    """Print what pages of so many days cost; return whether one is too slow."""
    asked = answers(layout, end_us - days * DAY_US)
    found = {name: measure(answer) for name, answer in asked.items()}
    for name, (first, later, size) in found.items():
        print(f"{days} d, {name:<8} first {first:5.0f} ms, then {later:5.0f} ms, {size / 1000:5.0f} kB")
    totals = {page: sum(found[part][1] for part in parts) for page, parts in PAGES.items()}
    for page, total in totals.items():
        print(f"{days} d, page of one {page}: {total:.0f} ms (goal: at most {PAGE_GOAL_MS:.0f})")
    return max(totals.values()) > PAGE_GOAL_MS


def _moved(panes: Iterator[tuple[PaneKey, Pane]], profile: str, by_us: int) -> Iterator[tuple[PaneKey, Pane]]:
    for key, pane in panes:
        yield key._replace(model=MODEL, version=1, profile=profile, start_us=key.start_us + by_us), pane


if __name__ == "__main__":
    sys.exit(main())
