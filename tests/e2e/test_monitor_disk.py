"""A monitor that cannot write: predictions go on, it is told, and it heals by itself."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import LogSettings, ServerSettings, Settings
from driftgate.gateway.state.beat import read_beat
from driftgate.models.publish.onnx_file import publish_file
from driftgate.monitoring.book.monitor_db import MonitorDb

from harness.gateway import Gateway, until
from harness.models import linear_model
from harness.records import SlotLog, turn, version

QUICK = {"DRIFTGATE__LOG__ARCHIVE_EVERY_S": "0.3", "DRIFTGATE__MONITOR__WINDOW_S": "1"}
SMALL_BYTES = 2**14
"""Enough for logs and for what the monitor says of itself, not for the book."""


@pytest.fixture
def gateway(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway whose monitor has counted some rows."""
    source = tmp_path / "m.onnx"
    source.write_bytes(linear_model(2.0).SerializeToString())
    publish_file(source, name="m", registry=tmp_path / "registry")
    found = start_gateway(environment=QUICK)
    ask(found, 20)
    until(lambda: windowed(found) == 20, 10, "rows are in windows")
    return found


def ask(gateway: Gateway, times: int) -> None:
    """Get so many predictions."""
    for number in range(times):
        assert gateway.infer("m", [[float(number), 1.0, 2.0, 3.0]]).status_code == 200


def windowed(gateway: Gateway) -> int:
    """How many rows are in windows of the book."""
    if not gateway.layout.monitor_db.exists():
        return 0
    with closing(MonitorDb(gateway.layout.monitor_db, read_only=True)) as db:
        return sum(one.pane.rows for one in db.panes("m", 0, 2**62))


def monitor_pid(gateway: Gateway) -> int:
    """The monitor that runs now, 0 if none does."""
    beat = read_beat(gateway.layout.monitor_beat)
    return beat.pid if beat is not None else 0


def metric(gateway: Gateway, name: str) -> float:
    """A metric without labels, 0 if it is not there."""
    text = httpx.get(f"{gateway.ports.metrics}/metrics").text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def doctor_problems(gateway: Gateway) -> set[str]:
    """The checks that the doctor finds a problem in."""
    places = ("--state", str(gateway.layout.root), "--registry", str(gateway.registry), "--json")
    command = [sys.executable, "-m", "driftgate.gateway.cli.main", "doctor", *places]
    done = subprocess.run(command, cwd=gateway.root, capture_output=True, check=False)
    return {found["check"] for found in msgspec.json.decode(done.stdout) if found["level"] == "problem"}


@contextmanager
def largest_file(pid: int, most_bytes: int) -> Iterator[None]:
    """Let a process write no file beyond so many bytes, as on a disk that is full."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_nothing_costs_no_row(gateway: Gateway) -> None:
    """Predictions go on, log, metric and doctor tell of it, and all is in the book once the disk takes it."""
    pid = monitor_pid(gateway)
    with largest_file(pid, SMALL_BYTES):
        ask(gateway, 30)
        until(lambda: metric(gateway, "driftgate_monitor_unwritten_seconds") > 0, 10, "it is a metric")
        assert "cannot be written" in gateway.log.read_text()
        assert "archive" in doctor_problems(gateway)
        ask(gateway, 10)
    until(lambda: windowed(gateway) == 60, 10, "all rows are in windows")
    until(lambda: metric(gateway, "driftgate_monitor_unwritten_seconds") == 0, 10, "all is well")
    assert monitor_pid(gateway) == pid


def test_a_monitor_that_begins_on_a_read_only_book_waits(tmp_path: Path) -> None:
    """It ends and says why, without having changed anything; the one that may write it counts all rows."""
    layout = StateLayout(tmp_path / "state")
    log = SlotLog(layout.root)
    log.write(turn(version(), range(30)))
    log.writer.close()
    MonitorDb(layout.monitor_db).close()
    layout.monitor_db.chmod(0o400)
    settings = Settings(server=ServerSettings(state=str(layout.root)), log=LogSettings(archive_every_s=0.1))
    command = [
        *(sys.executable, "-m", "driftgate.gateway.monitor.process"),
        *("--settings", msgspec.json.encode(settings).decode()),
    ]
    # Even root may not write what is read-only without these capabilities
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    refused = subprocess.run(powerless, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, "monitor_db_not_writable" in refused.stderr) == (1, True), refused.stderr
    assert not list(layout.root.glob("*.damaged-*"))
    layout.monitor_db.chmod(0o600)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as monitor:
        try:
            until(lambda: any(layout.archive.rglob("v*.parquet")), 10, "records are archived")
        finally:
            monitor.terminate()
    with closing(MonitorDb(layout.monitor_db, read_only=True)) as db:
        assert db.totals()["rows"] == 30
