"""Windows are the same to the last integer, however the log is split up, read, interrupted or read again."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.windows import Watched
from driftgate.monitoring.drift.plan import DriftPlan, Judging
from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.reference.profile import encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.heavy_hitters import CAPACITY, HeavyHitters
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey

from harness.records import SlotLog, failure, turn, version

MODEL = "fraud"


def profile_of_people() -> bytes:
    """A reference of the harness's model: ages 0 to 99 and the cities that go with them."""
    ages = np.arange(100, dtype=np.float32)
    columns = [
        Observed("age", "input", ages),
        Observed("income", "input", ages * 1000),
        Observed("city", "input", texts_of_list([f"city {number % 40}" for number in range(100)])),
        Observed("label", "prediction", np.arange(100) % 2),
        Observed("p.no", "score", 1 - ages % 2),
        Observed("p.yes", "score", ages % 2),
    ]
    sample = ReferenceSample()
    sample.update(columns, row_priorities(0, 100))
    return encode_profile(sample.get("training"))


PROFILE = profile_of_people()


class Monitor:
    """A follower on a directory, as one life of a monitor process."""

    def __init__(self, root: Path, archive_every_s: float = 0.0, **watched: Any) -> None:
        self.problems: list[str] = []
        self.db = MonitorDb(root / "monitor.db")
        known: dict[str, Any] = {"find_profile": lambda model, version: PROFILE} | watched
        self.follower = Follower(
            lambda: {int(path.name): path / "log" for path in (root / "slots").iterdir()},
            self.db,
            Archiver(root / "archive", self.db, Ages(), self.problems.append),
            FollowerSettings(archive_every_s=archive_every_s, watched=Watched(**known)),
            self.problems.append,
        )

    def panes(self) -> dict[PaneKey, Pane]:
        """All panes as they are shown."""
        return {one.key: one.pane for one in self.db.panes(MODEL, 0, 2**62)}


def write(log: SlotLog, at_us: int, *turns: Any) -> None:
    """Write turns that are recorded at a time, or as soon after it as the log's order allows."""
    log.writer._last_us = max(at_us, log.writer._last_us)
    log.write(*turns)


def fill(root: Path, slots: int, records: int = 60, start_us: int = 0) -> list[SlotLog]:
    """Write records over three minutes, round robin over slots; every sixth was refused, few have no key."""
    logs = [SlotLog(root, slot, segment_bytes=4000) for slot in range(slots)]
    start = start_us or next_minute()
    for number in range(records):
        arm, key = "canary" if number % 5 == 0 else "stable", b"" if number % 7 == 0 else b"%d" % (number % 4)
        one = turn(version(), [number], rows=1 + number % 3, arm=arm, routing_key=key)
        at_us = start + number // 20 * PANE_US
        write(logs[number % slots], at_us, one if number % 6 else failure(version(), number))
    return logs


def next_minute() -> int:
    """Two minutes from now: the log's clock never goes back, and the minutes are to be known."""
    return (time.time_ns() // 1000 // PANE_US + 2) * PANE_US


def integers(panes: dict[PaneKey, Pane]) -> dict[object, object]:
    """What must be equal to the last integer, by key; minutes count from the first."""
    first = min(key.start_us for key in panes)
    return {
        key._replace(start_us=(key.start_us - first) // PANE_US): (
            pane.rows,
            pane.late_rows,
            pane.counts.tolist(),
            pane.pairs.tolist(),
            pane.quality.requests,
            pane.quality.refused,
            pane.quality.repeats.rows,
            pane.quality.repeats.distinct,
            (pane.thinned.rows, pane.thinned.counts.tolist(), pane.thinned.pairs.tolist())
            if pane.thinned is not None
            else None,
        )
        for key, pane in panes.items()
    }


def thinned(model: str, number: int) -> DriftPlan:
    """One row of each entity counts."""
    return DriftPlan(judging=Judging(thin="entity"))


def test_one_worker_and_four_give_the_same_windows(tmp_path: Path) -> None:
    """The same records in one log or in four fold to the same integers, in all segments, thinned or not."""
    found, start_us = [], next_minute()
    for slots in (1, 4):
        root = tmp_path / str(slots)
        logs = fill(root, slots, start_us=start_us)
        monitor = Monitor(root, segments_of=lambda model: ["city"], plan_of=thinned)
        monitor.follower.step(0)
        for log in logs:
            log.writer.close()
        monitor.follower.step(0)
        found.append(integers(monitor.panes()))
    assert found[0] == found[1]
    keys = [key for key in found[0] if isinstance(key, PaneKey)]
    assert {(key.arm, key.start_us) for key in keys if key.segment == ALL_ROWS} >= {
        ("stable", 0), ("canary", 1), ("stable", 2),
    }  # fmt: skip
    assert any(key.segment == "city=city 7" for key in keys)
    whole = [pane for key, pane in monitor.panes().items() if key.segment == ALL_ROWS and pane.thinned]
    assert len(whole) == 6
    assert all(pane.thinned is not None and pane.thinned.rows < pane.rows for pane in whole)


def test_a_monitor_that_is_killed_at_any_time_counts_the_same(tmp_path: Path) -> None:
    """Lives that end between reading and committing leave what one life does."""
    (tmp_path / "calm").mkdir()
    counted, start = [], next_minute()
    for lives in (1, 7):
        root = tmp_path / str(lives)
        logs = fill(root, 2, 0)
        for number in range(60):
            one = turn(version(), [number], rows=2, routing_key=b"%d" % (number % 4))
            write(logs[number % 2], start + number // 20 * PANE_US, one)
            if lives > 1 and number % 8 == 0:
                # Reads and shows, and is gone before it commits in every other life
                Monitor(root, 0.0 if number % 16 else 1e9, plan_of=thinned).follower.step(1)
        for log in logs:
            log.writer.close()
        last = Monitor(root, plan_of=thinned)
        last.follower.step(0)
        last.follower.step(0)
        counted.append(integers(last.panes()))
        assert last.follower.status(0).rows == 120
    assert counted[0] == counted[1]


def test_what_comes_after_the_watermark_is_late_and_changes_nothing(tmp_path: Path) -> None:
    """A row for a sealed minute is counted as late beside it."""
    first = SlotLog(tmp_path, 0)
    start = next_minute()
    write(first, start, turn(version(), [1, 2, 3]))
    write(first, start + 2 * PANE_US, turn(version(), [4]))
    monitor = Monitor(tmp_path)
    monitor.follower.step(0)
    before = integers(monitor.panes())
    late = SlotLog(tmp_path, 1)
    write(late, start, turn(version(), [5]))
    monitor.follower.step(0)
    after = {key: pane for key, pane in monitor.panes().items() if key.start_us == start}
    assert [pane.late_rows for pane in after.values()] == [1]
    assert next(iter(after.values())).rows == 3
    assert len(before) == 2


def test_open_windows_are_shown_before_they_are_committed(tmp_path: Path) -> None:
    """Who looks sees the open minute's rows, though the checkpoint is far away."""
    log = SlotLog(tmp_path)
    monitor = Monitor(tmp_path, archive_every_s=1e9)
    monitor.follower.step(1)
    write(log, next_minute(), turn(version(), [1, 2, 3]))
    monitor.follower.step(2_000_000)
    db = MonitorDb(tmp_path / "monitor.db", read_only=True)
    (shown,) = db.panes(MODEL, 0, 2**62)
    assert (shown.sealed, shown.pane.rows) == (False, 3)
    with sqlite3.connect(tmp_path / "monitor.db") as book:
        assert book.execute("SELECT count(*) FROM panes").fetchone() == (0,)
    db.close()


def test_one_model_that_cannot_be_counted_does_not_stop_the_others(tmp_path: Path) -> None:
    """What fails is counted and told; the windows of other models are whole."""

    def segments(model: str) -> list[str]:
        if model == "odd":
            raise ValueError("odd")
        return []

    log = SlotLog(tmp_path)
    write(log, next_minute(), turn(version("odd"), [1]), turn(version(), [2]))
    monitor = Monitor(tmp_path, segments_of=segments)
    monitor.follower.step(0)
    assert [pane.rows for pane in monitor.panes().values()] == [1]
    assert monitor.follower.windows.status(0).lost_rows == 1
    assert "ValueError: odd" in monitor.problems[-1]


def test_a_frequent_value_gets_a_segment_of_its_own(tmp_path: Path) -> None:
    """Without a reference, too: from a minute that has no rows yet, in this life and the next."""
    bare: dict[str, Any] = {
        "find_profile": lambda model, version: None,
        "segments_of": lambda model: ["city"],
    }
    log = SlotLog(tmp_path)
    start = next_minute()
    write(log, start, turn(version(), [1, 2], rows=600))
    write(log, start + PANE_US, turn(version(), range(100, 120)))
    Monitor(tmp_path, **bare).follower.step(0)
    second = Monitor(tmp_path, **bare)
    write(log, start + 3 * PANE_US, turn(version(), [1, 7], rows=3))
    second.follower.step(0)
    found = {
        (key.segment, (key.start_us - start) // PANE_US): pane.rows for key, pane in second.panes().items()
    }
    assert found == {("", 0): 1200, ("", 1): 20, ("", 3): 6, ("city=city 1", 3): 3}


def test_a_million_values_need_no_more_memory_than_some() -> None:
    """Of values that never come twice none gets a segment; one that is frequent does."""
    hitters = HeavyHitters()
    for start in range(0, 100_000, 5000):
        hitters.update(texts_of_list([f"v{start + place}" for place in range(4500)] + ["big"] * 500))
    hitters.choose(0)
    assert [one.value for one in hitters.state.segments] == ["big"]
    assert len(hitters.state.counts) <= CAPACITY
