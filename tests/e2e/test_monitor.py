"""The monitor in a real gateway: records of a slot are archived, counted and shown; kills change nothing."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pandas as pd

from driftgate.gateway.metrics.logs import read_monitor_status
from driftgate.gateway.state.beat import read_beat

from harness.gateway import Gateway, until
from harness.records import SlotLog, turn, version

QUICK = {"DRIFTGATE__LOG__ARCHIVE_EVERY_S": "0.2"}


def archived(gateway: Gateway) -> list[int]:
    """The ages in the archive, which are the numbers of records, sorted."""
    frames = [pd.read_parquet(path) for path in (gateway.layout.archive / "fraud").rglob("*.parquet")]
    return sorted(int(age) for frame in frames for age in frame["age"])


def metric(gateway: Gateway, name: str) -> float:
    """A metric without labels, 0 if it is not there."""
    lines = httpx.get(f"{gateway.ports.metrics}/metrics").text.splitlines()
    return next((float(line.split()[1]) for line in lines if line.split()[0] == name), 0.0)


def monitor_pid(gateway: Gateway) -> int:
    """The pid of the monitor that lives now, 0 if none does."""
    beat = read_beat(gateway.layout.monitor_beat)
    return beat.pid if beat is not None else 0


def another_runs(gateway: Gateway, pid: int) -> bool:
    """Whether a monitor runs that is not the one with this pid."""
    return monitor_pid(gateway) not in (0, pid)


def test_kills_of_the_monitor_lose_and_double_nothing(start_gateway: Callable[..., Gateway]) -> None:
    """The monitor is killed again and again while a slot logs; each record is archived and counted once."""
    gateway = start_gateway(workers=1, environment=QUICK)
    log = SlotLog(gateway.layout.root, slot=9, segment_bytes=20_000)
    number = 0
    for _ in range(3):
        pid = monitor_pid(gateway)
        for _ in range(100):
            log.write(turn(version(), [number]))
            number += 1
        os.kill(pid, signal.SIGKILL)
        until(partial(another_runs, gateway, pid), 10, "another monitor runs")
    log.writer.close()
    until(lambda: metric(gateway, "driftgate_monitor_rows_total") == number, 10, "all are counted")
    until(lambda: archived(gateway) == list(range(number)), 10, "all are archived, once")
    assert metric(gateway, "driftgate_log_rows_total") == number
    assert metric(gateway, "driftgate_monitor_lost_frames_total") == 0


def test_a_stop_archives_what_came_last(start_gateway: Callable[..., Gateway]) -> None:
    """SIGTERM lets the monitor read and archive the rest before it leaves."""
    environment = {"DRIFTGATE__LOG__ARCHIVE_EVERY_S": "3600"}
    gateway = start_gateway(workers=1, environment=environment)
    until(lambda: read_monitor_status(gateway.layout), 10, "the monitor has begun")
    log = SlotLog(gateway.layout.root, slot=9)
    log.write(turn(version(), range(50)))
    assert gateway.stop() == 0
    assert archived(gateway) == list(range(50))


def test_a_gateway_without_a_log_has_no_monitor(
    start_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """Switched off, nothing of it runs."""
    gateway = start_gateway(workers=1, environment={"DRIFTGATE__LOG__ENABLED": "false"})
    assert not gateway.layout.monitor_beat.exists()
    assert gateway.stop() == 0
    assert not (tmp_path / "state" / "archive").exists()
