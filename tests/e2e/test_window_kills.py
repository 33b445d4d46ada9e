"""Processes that are killed in the middle of windows leave counts that a replay of the logs gives again."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from driftgate.gateway.state.beat import read_beat
from driftgate.gateway.state.slots import slot_numbers
from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.windows import Watched

from harness.gateway import Gateway, until
from harness.models import linear_model, publish_model

KILLS = 6
QUICK = {
    "DRIFTGATE__LOG__ARCHIVE_EVERY_S": "0.3",
    "DRIFTGATE__LOG__MODE": "written",
    "DRIFTGATE__MONITOR__WINDOW_S": "1",
}


@pytest.fixture
def gateway(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway of two workers with windows of a second, whose answers wait for their records."""
    publish_model(linear_model(2.0), tmp_path / "registry")
    return start_gateway(workers=2, environment=QUICK)


def counts(db: MonitorDb) -> dict[object, Any]:
    """The integers of all windows."""
    found: dict[object, Any] = {}
    for one in db.panes("m", 0, 2**62):
        pane, quality = one.pane, one.pane.quality
        found[one.key] = (
            pane.rows,
            pane.late_rows,
            pane.counts.tolist(),
            pane.pairs.tolist(),
            quality.requests,
        )
    return found


def replayed(gateway: Gateway, root: Path) -> dict[object, Any]:
    """The windows of a monitor that reads the same logs at once."""
    root.mkdir()
    db = MonitorDb(root / "monitor.db")
    follower = Follower(
        lambda: {number: gateway.layout.log(number) for number in slot_numbers(gateway.layout)},
        db,
        Archiver(root / "archive", db, Ages(), print),
        FollowerSettings(0.0, watched=Watched(window_us=1_000_000)),
        print,
    )
    follower.step(0)
    return counts(db)


def kill_one(gateway: Gateway, number: int, killed: set[int]) -> None:
    """Kill the monitor or a worker, if another one has come since it was killed last."""
    worker = gateway.layout.slot(number // 2 % 2) / "beat"
    beat = read_beat(worker if number % 2 else gateway.layout.monitor_beat)
    if beat is not None and beat.pid not in killed:
        killed.add(beat.pid)
        os.kill(beat.pid, signal.SIGKILL)


def followed(gateway: Gateway) -> int:
    """How many rows the monitor says that it has read."""
    if not gateway.layout.monitor_status.exists():
        return 0
    return int(msgspec.json.decode(gateway.layout.monitor_status.read_bytes())["rows"])


def test_kills_in_the_middle_of_windows_change_no_count(gateway: Gateway, tmp_path: Path) -> None:
    """Monitor and workers are killed while they work; in the end every answered row is in one window."""
    rng, answered = random.Random(6), 0
    killed = {0}
    for number in range(KILLS):
        until_s = time.monotonic() + rng.uniform(0.2, 0.6)
        while time.monotonic() < until_s:
            try:
                answered += gateway.infer("m", [[float(answered % 50), 1.0, 2.0, 3.0]]).status_code == 200
            except httpx.TransportError:
                continue
        kill_one(gateway, number, killed)
    until(gateway.ready, 20, "all workers are back")
    until(lambda: followed(gateway) >= answered, 20, "the monitor has read all")
    assert gateway.stop() == 0
    db = MonitorDb(gateway.layout.monitor_db, read_only=True)
    found = counts(db)
    assert answered > 50
    assert len(killed) > KILLS // 2
    rows = sum(one[0] for one in found.values())
    assert answered <= rows <= answered + KILLS
    assert found == replayed(gateway, tmp_path / "replay")
    assert len(found) >= 2
