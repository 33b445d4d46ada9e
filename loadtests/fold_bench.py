"""What windows cost: from blocks of the log to updated counts, and the bytes that windows take.

Run with `python -m loadtests.fold_bench`. Prints one figure per line with the goal beside it, and ends with 1
if a goal is missed. Times are CPU time per value of the inputs; outputs and latency are counted too, and free
of charge. Reading and checking the log is not in them. With `--others PYTHON`, the interpreter of an
environment that has NannyML and Evidently, their times on such a frame are divided by ours.
"""

import argparse
import ctypes
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.book.window_keeper import WindowKeeper
from driftgate.monitoring.book.windows import Watched, Windows
from driftgate.monitoring.log.blocks import Block, BlockDecoder
from driftgate.monitoring.log.encoder import BlockEncoder
from driftgate.monitoring.log.record import RecordedVersion, TensorColumns
from driftgate.monitoring.reference.book import ReferenceBook
from driftgate.monitoring.reference.profile import ReferenceProfile, encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.heavy_segments import HeavySegments
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey
from driftgate.monitoring.windows.pane_fold import PaneFold
from driftgate.monitoring.windows.pane_retention import HOUR_US
from loadtests.figures import Figure, show_figures
from loadtests.log_bench import COLUMNS, VERSION, turn

FOLD_GOAL_NS = 30.0
DAY_GOAL_MB = 20.0
OTHERS_GOALS = {"NannyML": 5.0, "Evidently": 200.0}
OTHERS_ROWS = 10_000
REPEATS = 15
REFERENCE_ROWS = 20_000
DAY_FEATURES = 50
WINDOW_ROWS = 600


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


def measure_others(python: str, ours_ns: float) -> Iterator[Figure]:
    """Yield how many times as long other tools take per value, of those that are there."""
    script = Path(__file__).with_name("fold_others.py")
    sizes = map(str, (OTHERS_ROWS, COLUMNS, REFERENCE_ROWS))
    quiet = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
    answer = subprocess.run([python, script, *sizes], check=True, stdout=subprocess.PIPE, env=quiet)
    for name, value in json.loads(answer.stdout).items():
        yield Figure(f"{name}, {OTHERS_ROWS} rows of {COLUMNS} inputs", value, "ns/value")
        yield Figure(f"{name} against folding them", value / ours_ns, "x", OTHERS_GOALS.get(name))


def measure_days(directory: Path) -> Iterator[Figure]:
    """Write a day of one-minute windows of two arms into a new `monitor.db`, then merge them into hours."""
    profile = profile_of(DAY_FEATURES)
    path = directory / "monitor.db"
    db = MonitorDb(path)
    for hour in range(24):
        db.commit(Checkpoint({}, windows=WindowChanges(0, dict(hour_of_panes(profile, hour)))))
    db.close()
    day_mb = _size_mb(directory)
    yield Figure(f"24 h of windows, {DAY_FEATURES} features, 2 arms", day_mb, "MB", DAY_GOAL_MB)
    db = MonitorDb(path)
    began = time.process_time()
    while db.merge_next_hour(24 * HOUR_US):
        pass
    took_s = time.process_time() - began
    db.close()
    with closing(sqlite3.connect(path)) as book:
        book.execute("VACUUM")
    hours_mb = _size_mb(directory)
    yield Figure("merging them into hours", took_s, "s")
    yield Figure("35 days: 7 of minutes, 28 of hours", 7 * day_mb + 28 * hours_mb, "MB")


def _size_mb(directory: Path) -> float:
    return sum(file.stat().st_size for file in directory.iterdir()) / 1e6


def measure_models(directory: Path, models: int, features: int) -> Iterator[Figure]:
    """Take a minute's rows of so many models through windows, detectors and the book."""
    data = encode_profile(profile_of(features))
    watched = Watched(find_profile=lambda model, version: data)
    db = MonitorDb(directory / "monitor.db")
    keeper = WindowKeeper(db, watched, print)
    before_mb, took_s = _resident_mb(), 0.0
    for minute in range(3):
        blocks = list(_minute(models, features, minute))
        began = time.process_time()
        for block in blocks:
            keeper.take(block)
        keeper.step((minute + 1) * PANE_US, minute)
        db.commit(Checkpoint({}, windows=keeper.changes()))
        keeper.committed()
        took_s = time.process_time() - began
        blocks.clear()
    rows = sum(pane.rows for _, pane in db.sealed_panes(0))
    if rows != 3 * models * WINDOW_ROWS:
        raise AssertionError(f"{rows} rows are in windows")
    name = f"{models} models of {features} inputs, {WINDOW_ROWS} rows each"
    yield Figure(f"a minute of {name}", took_s, "s")
    yield Figure(f"memory for {name}", _resident_mb() - before_mb, "MB")


def _minute(models: int, features: int, minute: int) -> Iterator[Block]:
    rng, encoder, decoder = np.random.default_rng(minute), BlockEncoder(b"k" * 32), BlockDecoder()
    columns = TensorColumns("x", tuple(f"feature_{number}" for number in range(features)))
    for number in range(models):
        one = turn(WINDOW_ROWS, rng)
        one.version = RecordedVersion(f"m{number}", 1, (columns,), VERSION.outputs, has_texts=False)
        one.inputs = {"x": rng.normal(size=(WINDOW_ROWS, features)).astype(np.float32)}
        one.recorded_us = minute * PANE_US
        yield from (decoder.decode(encoded.payload) for encoded in encoder.encode([one]))


def _resident_mb() -> float:
    """Return the memory of this process, without what it has freed."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", metavar="PYTHON", help="interpreter that has NannyML and Evidently")
    sys.exit(show_figures(_all(parser.parse_args().others)))


def _all(others: str | None) -> Iterator[Figure]:
    for rows, block_rows in ((100, 5), (1000, 16), (10_000, 16), (10_000, 64), (10_240, 1024)):
        yield measure_fold(rows, block_rows)
    if others is not None:
        yield from measure_others(others, measure_fold(1000, 16).value)
    with tempfile.TemporaryDirectory() as directory:
        yield from measure_days(Path(directory))
    for models, features in ((1, 2000), (500, 30)):
        with tempfile.TemporaryDirectory() as directory:
            yield from measure_models(Path(directory), models, features)


if __name__ == "__main__":
    main()
