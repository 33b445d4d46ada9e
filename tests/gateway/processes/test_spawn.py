"""Children: what they are told reaches them, and they do not outlive whoever started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.processes.spawn import (
    MAX_STACK_BYTES,
    STACK_SIGNAL,
    THREADS,
    ChildArguments,
    child_arguments,
    command_line,
    die_with_parent,
    spawn,
)
from driftgate.gateway.settings import ServerSettings, Settings

from harness.gateway import until
from harness.processes import runs

SOME_NUMBER = st.none() | st.integers(0, 2**31 - 1)


@given(
    st.builds(
        ChildArguments,
        st.builds(Settings, st.builds(ServerSettings, host=st.text(), port=st.integers(0, 65535))),
        SOME_NUMBER,
        SOME_NUMBER,
        SOME_NUMBER,
    )
)
def test_a_command_line_is_read_back_as_it_was_meant(arguments: ChildArguments) -> None:
    """Settings, slot, descriptor and parent survive the way to the child."""
    assert child_arguments(command_line(arguments)) == arguments


def test_a_child_run_by_hand_has_defaults() -> None:
    """Without arguments a child runs on its own with the default settings."""
    assert child_arguments([]) == ChildArguments(Settings())


@pytest.mark.parametrize("argv", [["--settings", "{"], ["--settings", '{"servr": {}}'], ["--slot", "x"]])
def test_a_wrong_command_line_ends_with_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments are named on standard error and end the child with code 2."""
    with pytest.raises(SystemExit) as ended:
        child_arguments(argv)
    assert ended.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("3", "3")])
def test_a_child_computes_on_one_thread(
    chosen: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless an operator says otherwise: threads that spin would take cores from whoever answers requests."""
    monkeypatch.delenv(THREADS, raising=False)
    if chosen is not None:
        monkeypatch.setenv(THREADS, chosen)
    (tmp_path / "waits.py").write_text("import signal; signal.pause()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with spawn("waits", ChildArguments(Settings())) as child:
        environment = Path(f"/proc/{child.pid}/environ")
        try:
            until(environment.read_bytes, 10, "the kernel shows the environment")
            assert f"{THREADS}={expected}".encode() in environment.read_bytes().split(b"\0")
        finally:
            child.kill()


def test_a_process_without_a_parent_to_follow_goes_on() -> None:
    """Run by hand, a child ties its life to nobody."""
    die_with_parent(None)


def test_a_child_whose_parent_is_gone_ends_at_once() -> None:
    """A parent that died before the kernel was asked is noticed too."""
    child = "from driftgate.gateway.processes.spawn import die_with_parent; die_with_parent(1 << 30)"
    ran = subprocess.run([sys.executable, "-c", child], capture_output=True, check=False)
    assert ran.returncode == 1
    assert b"is gone" in ran.stderr


@pytest.mark.alone
def test_a_child_dies_with_its_parent() -> None:
    """SIGKILL of the parent ends the child within two seconds."""
    child = (
        "import signal, sys; from driftgate.gateway.processes.spawn import die_with_parent\n"
        "die_with_parent(int(sys.argv[1])); print('tied', flush=True); signal.pause()"
    )
    parent = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())])\n"
        "print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = {process.stdout.readline().strip() for _ in range(2)}
        (pid,) = (int(word) for word in said if word != "tied")
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 2
        while runs(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not runs(pid)


def test_stacks_are_dumped_while_the_interpreter_is_blocked(tmp_path: Path) -> None:
    """The stack signal writes where every thread is, behind what was there before."""
    path = tmp_path / "stack.txt"
    path.write_text("an earlier dump\n")
    child = (
        "import time; from pathlib import Path\n"
        "from driftgate.gateway.processes.spawn import dump_stacks_on_signal\n"
        f"dump_stacks_on_signal(Path({str(path)!r}))\n"
        "def blocked():\n    print('blocked', flush=True)\n    (lambda: time.sleep(30))()\n"
        "blocked()"
    )
    with subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"blocked\n"
        process.send_signal(STACK_SIGNAL)
        deadline = time.monotonic() + 25
        while "in blocked" not in path.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert path.read_text().startswith("an earlier dump\n")
    assert "in blocked" in path.read_text()


def test_the_stack_file_stays_small(tmp_path: Path) -> None:
    """A file over its limit begins anew at the next start."""
    path = tmp_path / "stack.txt"
    path.write_bytes(b"x" * (MAX_STACK_BYTES + 1))
    child = (
        "import sys; from pathlib import Path\n"
        "from driftgate.gateway.processes.spawn import dump_stacks_on_signal\n"
        f"dump_stacks_on_signal(Path({str(path)!r}))"
    )
    subprocess.run([sys.executable, "-c", child], check=True)
    assert os.path.getsize(path) == 0
