"""What metrics say of processes, crashes, and what control sees."""

import time
from pathlib import Path

import msgspec
import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.exposition import render
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.control_status import ControlStatus, RefusedVersion, ServedVersion
from driftgate.gateway.state.crashes import Crash, CrashBook


@pytest.mark.parametrize(
    ("state", "age_s", "up"),
    [(BeatState.ACCEPTING, 1, 1), (BeatState.ACCEPTING, 60, 0), (BeatState.DEAD, 1, 0)],
)
def test_a_process_is_up_while_its_loop_turns(tmp_path: Path, state: BeatState, age_s: int, up: int) -> None:
    """A pulse that is fresh and of no dead process is up; one that never was has no series."""
    layout = StateLayout(tmp_path)
    beat = Beat.create(layout.monitor_beat, "boot", 1, time.monotonic_ns() - age_s * 10**9)
    beat.state = state
    said = render(layout).decode()
    assert f'driftgate_process_up{{process="monitor"}} {up}.0' in said
    assert 'process="control"' not in said


def test_the_last_crash_is_told(tmp_path: Path) -> None:
    """Each crash of a worker changes one series, so that changes of it count crashes."""
    layout = StateLayout(tmp_path)
    assert "driftgate_worker_last_crash_timestamp_seconds 0.0" in render(layout).decode()
    for at in (5.0, 7.0):
        CrashBook(layout.crashes).note(Crash("boot", "worker-0", "SIGKILL", (), 1, at))
        assert f"driftgate_worker_last_crash_timestamp_seconds {at}" in render(layout).decode()


def test_what_control_sees_is_told(tmp_path: Path) -> None:
    """Registry, refused versions, age and its limit are metrics; a damaged file costs no other."""
    layout = StateLayout(tmp_path)
    status = ControlStatus(
        registry_problem="gone",
        refused=(RefusedVersion("m", 3, "other answers"),),
        served=(ServedVersion("m", 2, 1_700_000_000), ServedVersion("old", 1, 0)),
        max_age_s={"m": 86_400},
    )
    layout.control_status.write_bytes(msgspec.json.encode(status))
    said = render(layout).decode()
    assert "driftgate_registry_readable 0.0" in said
    assert 'driftgate_version_refused{model="m",version="3"} 1.0' in said
    assert 'driftgate_model_created_timestamp_seconds{model="m",version="2"} 1.7e+09' in said
    assert 'driftgate_model_max_age_seconds{model="m"} 86400.0' in said
    assert 'model="old"' not in said
    layout.control_status.write_bytes(b"{")
    assert b"driftgate_disk_free_bytes" in render(layout)
