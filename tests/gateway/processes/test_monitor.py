"""The monitor's own process, without a gateway around it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import ServerSettings, Settings
from driftgate.gateway.state.beat import read_beat

from harness.gateway import until

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

    command = [sys.executable, "-m", "driftgate.gateway.processes.monitor", "--settings", settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as monitor:
        try:
            until(stepped, 10, "it steps")
        finally:
            monitor.send_signal(signal.SIGTERM)
            _, said = monitor.communicate(timeout=10)
    assert monitor.returncode == 0, said
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events == ["following", "monitor_step_failed", "monitor_not_finished"]
