"""The beat file: what a process wrote last can be read by others, whatever became of the process."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftgate.gateway.state.beat import (
    LANES,
    MAX_NAME_BYTES,
    SHADOW_MARK,
    SIZE_BYTES,
    Beat,
    BeatState,
    Run,
    mark_dead,
    read_beat,
)

COUNT = st.integers(0, 2**63 - 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    pid=st.integers(1, 2**22),
    pulse=st.tuples(COUNT, COUNT, COUNT, COUNT),
    state=st.sampled_from(BeatState),
    runs=st.dictionaries(st.integers(0, LANES - 1), st.integers(1, 2**63 - 1)),
)
def test_what_is_written_is_read(
    tmp_path: Path, pid: int, pulse: tuple[int, int, int, int], state: BeatState, runs: dict[int, int]
) -> None:
    """Every field comes back as it was written, and only lanes in use show a run."""
    beat = Beat.create(tmp_path / "beat", "boot", pid, 7)
    beat.state = state
    beat.pulse(*pulse)
    for lane, started_ns in runs.items():
        beat.start_run(lane, f"model/{lane + 1}".encode(), started_ns)
    reading = read_beat(tmp_path / "beat")
    assert reading is not None
    assert (reading.boot, reading.pid, reading.state) == ("boot", pid, state)
    assert beat.state is state
    assert (reading.heartbeat_ns, reading.generation, reading.in_flight, reading.connections) == pulse
    assert set(reading.runs) == {Run(f"model/{lane + 1}", at, lane=lane) for lane, at in runs.items()}
    for lane in runs:
        beat.end_run(lane)
    ended = read_beat(tmp_path / "beat")
    assert ended is not None
    assert ended.runs == ()


def test_a_new_beat_starts_with_a_pulse(tmp_path: Path) -> None:
    """A process counts as alive from the moment its file exists, in state STARTING."""
    Beat.create(tmp_path / "beat", "boot", 1, 99)
    reading = read_beat(tmp_path / "beat")
    assert reading is not None
    assert (reading.state, reading.heartbeat_ns, reading.has_pulsed) == (BeatState.STARTING, 99, False)


def test_the_first_turn_of_the_loop_shows(tmp_path: Path) -> None:
    """From the first pulse on a silent loop is a hung one, not one that has yet to begin."""
    Beat.create(tmp_path / "beat", "boot", 1, 99).pulse(100, 0, 0, 0)
    reading = read_beat(tmp_path / "beat")
    assert reading is not None
    assert reading.has_pulsed


def test_the_longest_names_fit(tmp_path: Path) -> None:
    """A model name of 128 bytes with the largest version is stored whole, a shadow's too."""
    name = f"{'m' * 128}/{2**63}"
    assert len(SHADOW_MARK) + len(name) <= MAX_NAME_BYTES
    Beat.create(tmp_path / "beat", "b" * 40, 1, 1).start_run(LANES - 1, SHADOW_MARK + name.encode(), 5)
    reading = read_beat(tmp_path / "beat")
    assert reading is not None
    assert reading.runs == (Run(name, 5, shadow=True, lane=LANES - 1),)
    assert reading.boot == "b" * 40


def test_a_boot_id_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A boot id is never cut short in silence, since it must equal the one in the status."""
    with pytest.raises(ValueError, match="longer than 40 bytes"):
        Beat.create(tmp_path / "beat", "b" * 41, 1, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"drftbeat", b"\0" * SIZE_BYTES, b"\xff" * SIZE_BYTES, b"drftbeat" + b"\x02" * (SIZE_BYTES - 8)],
)
def test_what_is_no_beat_reads_as_none(tmp_path: Path, content: bytes) -> None:
    """A missing, torn or foreign file is no error and no beat."""
    assert read_beat(tmp_path / "none") is None
    (tmp_path / "beat").write_bytes(content)
    assert read_beat(tmp_path / "beat") is None
    assert not mark_dead(tmp_path / "beat", "boot")


def test_only_the_boot_that_ended_is_marked_dead(tmp_path: Path) -> None:
    """The successor's beat is never declared dead in place of its predecessor's."""
    path = tmp_path / "beat"
    Beat.create(path, "first", 1, 1)
    Beat.create(path, "second", 2, 2)
    assert not mark_dead(path, "first")
    assert mark_dead(path, "second")
    reading = read_beat(path)
    assert reading is not None
    assert (reading.state, reading.boot, reading.pid) == (BeatState.DEAD, "second", 2)


def test_what_was_running_survives_a_kill(tmp_path: Path) -> None:
    """After SIGKILL the file still tells which version was running, and since when."""
    child = (
        "import os, signal; from pathlib import Path; from driftgate.gateway.state.beat import Beat\n"
        f"beat = Beat.create(Path({str(tmp_path / 'beat')!r}), 'boot', os.getpid(), 1)\n"
        "beat.start_run(2, b'fraud/7', 123)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run([sys.executable, "-c", child], check=False)
    assert ran.returncode == -signal.SIGKILL
    reading = read_beat(tmp_path / "beat")
    assert reading is not None
    assert reading.runs == (Run("fraud/7", 123, lane=2),)


def test_a_reader_never_sees_half_a_number(tmp_path: Path) -> None:
    """While a writer changes all bytes of every number, each number that is read was written."""
    path, written = tmp_path / "beat", (0, 2**62 - 1)
    beat = Beat.create(path, "boot", os.getpid(), 0)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            for number in written:
                beat.pulse(number, number, number, number)
                beat.start_run(0, b"a/1" if number else b"bb/22", number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            reading = read_beat(path)
            assert reading is not None
            assert reading.heartbeat_ns in written
            assert reading.generation in written
            assert {run.started_ns for run in reading.runs} <= set(written)
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize(
    ("heartbeat_ns", "fresh"),
    [(10_000_000_000, True), (6_000_000_000, True), (5_999_999_999, False), (10_000_000_001, False)],
)
def test_freshness(tmp_path: Path, heartbeat_ns: int, fresh: bool) -> None:
    """A pulse is fresh up to the limit; one from the future is from before a reboot and is not."""
    Beat.create(tmp_path / "beat", "boot", 1, heartbeat_ns)
    reading = read_beat(tmp_path / "beat")
    assert reading is not None
    assert reading.is_fresh(10_000_000_000, 4.0) is fresh
