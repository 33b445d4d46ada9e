"""The demo as a person runs it: what Ctrl-C leaves behind, at any time."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE_S = 60.0
INTERRUPTED = 130


def is_training(place: Path) -> bool:
    """Whether the training job was started."""
    return (place / "training.log").exists()


def is_serving(place: Path) -> bool:
    """Whether the gateway listens."""
    return (place / "state" / "ports.json").exists()


def processes_of(place: Path) -> list[str]:
    """Return the command lines of processes that name the demo's directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(place) in words:
            found.append(words)
    return found


@pytest.mark.parametrize("moment", [is_training, is_serving])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process(
    moment: Callable[[Path], bool], number: signal.Signals, tmp_path: Path
) -> None:
    """Whenever it is interrupted, the demo ends with 130 and no traceback, and all its children end."""
    place = tmp_path / "demo"
    in_the_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as scripts start it, with `&`
    demo = subprocess.Popen(
        [
            *in_the_background,
            sys.executable,
            "-P",
            "-m",
            "driftgate.gateway.cli.main",
            "demo",
            "--directory",
            str(place),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not moment(place):
            assert demo.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        demo.send_signal(number)
        said, _ = demo.communicate(timeout=PATIENCE_S)
    finally:
        demo.kill()
        demo.wait()
    assert (demo.returncode, "Traceback" in said) == (INTERRUPTED, False), said
    assert processes_of(place) == []
