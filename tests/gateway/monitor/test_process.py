"""The monitor's own process, without a gateway around it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import LogSettings, ServerSettings, Settings
from driftgate.gateway.state.beat import read_beat
from driftgate.monitoring.book.monitor_db import MonitorDb

from harness.gateway import until
from harness.records import SlotLog, turn, version

STEPS = 4


def test_what_fails_at_every_step_is_said_once(tmp_path: Path) -> None:
    """The monitor goes on while the slots cannot be read, and says so in one line."""
    layout = StateLayout(tmp_path / "state")
    layout.root.mkdir()
    (layout.root / "slots").write_text("not a directory")
    settings = msgspec.json.encode(Settings(server=ServerSettings(state=str(layout.root)))).decode()
    seen: set[int] = set()

    def stepped() -> bool:
        beat = read_beat(layout.monitor_beat)
        seen.update([beat.heartbeat_ns] if beat else [])
        return len(seen) > STEPS

    command = [sys.executable, "-m", "driftgate.gateway.monitor.process", "--settings", settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as monitor:
        try:
            until(stepped, 10, "it steps")
        finally:
            monitor.send_signal(signal.SIGTERM)
            _, said = monitor.communicate(timeout=60)
    assert monitor.returncode == 0, said
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events == ["following", "monitor_step_failed", "monitor_not_finished"]


def test_a_book_that_is_deleted_is_made_anew_from_the_logs(tmp_path: Path) -> None:
    """The monitor ends and says why; the next one counts all records again, and none twice in the archive."""
    layout = StateLayout(tmp_path / "state")
    log = SlotLog(layout.root)
    log.write(turn(version(), range(30)))
    log.writer.close()
    settings = Settings(server=ServerSettings(state=str(layout.root)), log=LogSettings(archive_every_s=0.1))
    command = [
        *(sys.executable, "-m", "driftgate.gateway.monitor.process"),
        *("--settings", msgspec.json.encode(settings).decode()),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as first:
        until(lambda: any(layout.archive.rglob("v*.parquet")), 10, "records are archived")
        layout.monitor_db.unlink()
        _, said = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "monitor_db_damaged" in {json.loads(line)["event"] for line in said.splitlines()}
    with subprocess.Popen(command, stderr=subprocess.PIPE) as second:
        until(lambda: any(layout.archive.rglob("v*.parquet")), 10, "records are archived again")
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=60)
    db = MonitorDb(layout.monitor_db, read_only=True)
    assert (db.totals()["rows"], db.totals()["rebuilds"]) == (30, 1)
    assert sum(one.pane.rows for one in db.panes("fraud", 0, 2**62)) == 30
    db.close()
    assert list(layout.root.glob("archive.damaged-*"))
