"""What windows cost: from blocks of the log to updated counts, and the bytes that a day of windows takes.

Run with `python -m loadtests.fold_bench`. Prints one figure per line with the goal beside it, and ends with 1
if a goal is missed. Times are CPU time per value of the inputs; outputs and latency are counted too, and free
of charge. Reading and checking the log is not in them.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftgate.monitoring.heavy_segments import HeavySegments
from driftgate.monitoring.log_blocks import Block, BlockDecoder
from driftgate.monitoring.log_encoder import BlockEncoder
from driftgate.monitoring.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.observed import Observed
from driftgate.monitoring.pane import ALL_ROWS, PANE_US, Pane, PaneKey
from driftgate.monitoring.pane_fold import PaneFold
from driftgate.monitoring.pane_tables import WindowChanges
from driftgate.monitoring.reference import ReferenceProfile, encode_profile
from driftgate.monitoring.reference_book import ReferenceBook
from driftgate.monitoring.reference_sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows import Watched, Windows
from loadtests.log_bench import COLUMNS, VERSION, turn

FOLD_GOAL_NS = 30.0
DAY_GOAL_MB = 20.0
REPEATS = 15
REFERENCE_ROWS = 20_000
DAY_FEATURES = 50
WINDOW_ROWS = 600


@dataclass(frozen=True)
class Figure:
    """One measured number, of which less is better; None where there is no goal."""

    name: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the goal was not reached."""
        return self.goal is not None and self.value > self.goal


def profile_of(features: int, names: str = "feature_{}") -> ReferenceProfile:
    """Return a reference of normally distributed features and, as the bench's model answers, a score."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(REFERENCE_ROWS, features)).astype(np.float32)
    columns = [Observed(names.format(place), "input", rows[:, place]) for place in range(features)]
    columns.append(Observed("p.yes", "score", rng.random(REFERENCE_ROWS, np.float32)))
    sample = ReferenceSample()
    sample.update(columns, row_priorities(0, REFERENCE_ROWS))
    return sample.get("training")


def blocks_of(rows: int, block_rows: int) -> list[Block]:
    """Return so many rows of the bench's model in blocks of the given size, as a reader gives them."""
    rng, encoder, decoder = np.random.default_rng(8), BlockEncoder(b"k" * 32), BlockDecoder()
    blocks = []
    for _ in range(rows // block_rows):
        one = turn(block_rows, rng)
        one.recorded_us = 1_790_000_000_000_000
        blocks += [decoder.decode(encoded.payload) for encoded in encoder.encode([one])]
    return blocks


def measure_fold(rows: int, block_rows: int) -> Figure:
    """Fold rows that were read together; the least of many runs."""
    blocks = blocks_of(rows, block_rows)
    data = encode_profile(profile_of(COLUMNS))
    windows = Windows(ReferenceBook((), lambda model, version: data, print), Watched(), HeavySegments({}))
    windows.update(blocks)
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        windows.update(blocks)
        times.append(time.process_time() - began)
    value = min(times) / (rows * COLUMNS) * 1e9
    goal = FOLD_GOAL_NS if rows >= 1000 and block_rows >= 16 else None
    return Figure(f"folding {rows} rows of {COLUMNS} inputs, blocks of {block_rows}", value, "ns/value", goal)


def measure_day(directory: Path) -> Figure:
    """Write a day of one-minute windows of two arms into a new `monitor.db`."""
    profile = profile_of(DAY_FEATURES)
    path = directory / "monitor.db"
    db = MonitorDb(path)
    for hour in range(24):
        db.commit(Checkpoint({}, windows=WindowChanges(0, dict(hour_of_panes(profile, hour)))))
    db.close()
    size_mb = sum(file.stat().st_size for file in directory.iterdir()) / 1e6
    return Figure(f"24 h of windows, {DAY_FEATURES} features, 2 arms", size_mb, "MB", DAY_GOAL_MB)


def hour_of_panes(profile: ReferenceProfile, hour: int) -> Iterator[tuple[PaneKey, Pane]]:
    """Yield windows whose counts vary as those of so many rows do."""
    rng = np.random.default_rng(hour)
    shape = PaneFold(profile).shape
    starts = profile.offsets()
    for minute in range(60):
        for arm in ("stable", "canary"):
            pane = Pane.empty(shape)
            pane.rows = WINDOW_ROWS
            for place, feature in enumerate(profile.features[:-1]):
                shares = (np.array(feature.counts) + 0.5) / (feature.rows + 0.5 * len(feature.counts))
                pane.counts[starts[place] : starts[place + 1]] = rng.multinomial(WINDOW_ROWS, shares)
            pairs = rng.binomial(WINDOW_ROWS, 0.25, (shape.paired, shape.paired))
            pane.pairs[:] = np.triu(pairs) + np.triu(pairs, 1).T
            for moments in (pane.sums, pane.squares, pane.lows, pane.highs):
                moments[:] = rng.normal(size=shape.features)
            start_us = (hour * 60 + minute) * PANE_US
            yield PaneKey(VERSION.model, VERSION.version, arm, ALL_ROWS, "profile", start_us), pane


def main() -> None:
    """Measure and print."""
    missed = False
    for figure in _all():
        goal = f"  goal {figure.goal:,.0f}" if figure.goal else ""
        print(f"{figure.name:58} {figure.value:12,.2f} {figure.unit}{goal}")
        missed = missed or figure.missed
    sys.exit(1 if missed else 0)


def _all() -> Iterator[Figure]:
    for rows, block_rows in ((100, 5), (1000, 16), (10_000, 16), (10_000, 64), (10_240, 1024)):
        yield measure_fold(rows, block_rows)
    with tempfile.TemporaryDirectory() as directory:
        yield measure_day(Path(directory))


if __name__ == "__main__":
    main()
