"""Starting a child process of the gateway, and being one.

A child is a module run with `python -m`. It gets its settings as an argument and its listener as an open
descriptor, and it dies with the process that started it.
"""

import argparse
import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec

from driftgate.gateway.settings import Settings

STACK_SIGNAL = signal.SIGUSR1
"""Makes a child write the stacks of its threads to its stack file."""
MAX_STACK_BYTES = 2**20
THREADS = "OMP_NUM_THREADS"
"""Threads of numpy's products and of Arrow. Small products take many times as long on several, which spin."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ChildArguments:
    """What a child is started with. None means that it runs on its own and binds its own socket.

    `first_slot` is the lowest number of the slots of this gateway's workers.
    """

    settings: Settings
    slot: int | None = None
    listen_fd: int | None = None
    parent_pid: int | None = None
    first_slot: int = 0


def child_arguments(argv: list[str] | None) -> ChildArguments:
    """Read a child's command line (None: `sys.argv`); ends the process with a usage text if it is wrong."""
    parser = argparse.ArgumentParser(description="A process of the gateway; `driftgate serve` starts it.")
    parser.add_argument("--settings", default="{}", help="process settings as JSON")
    parser.add_argument("--slot", type=int)
    parser.add_argument("--listen-fd", type=int)
    parser.add_argument("--parent-pid", type=int)
    parser.add_argument("--first-slot", type=int, default=0)
    given = parser.parse_args(argv)
    try:
        settings = msgspec.json.decode(given.settings, type=Settings)
    except msgspec.MsgspecError as error:
        parser.error(f"--settings: {error}")
    return ChildArguments(settings, given.slot, given.listen_fd, given.parent_pid, given.first_slot)


def command_line(arguments: ChildArguments) -> list[str]:
    """Return the command line that `child_arguments` reads back as `arguments`."""
    words = ["--settings", msgspec.json.encode(arguments.settings).decode()]
    for option, value in (
        ("--slot", arguments.slot),
        ("--listen-fd", arguments.listen_fd),
        ("--parent-pid", arguments.parent_pid),
        ("--first-slot", arguments.first_slot or None),
    ):
        if value is not None:
            words += [option, str(value)]
    return words


def spawn(module: str, arguments: ChildArguments) -> subprocess.Popen[bytes]:
    """Start `module` as a child in a process group of its own, so that Ctrl-C reaches only its parent.

    Must be called from the main thread: the kernel ties the child's life to the thread that started it.
    """
    return subprocess.Popen(
        _command(module, arguments),
        stdin=subprocess.DEVNULL,
        pass_fds=() if arguments.listen_fd is None else (arguments.listen_fd,),
        process_group=0,
        env=_environment(),
    )


def become(module: str, arguments: ChildArguments) -> NoReturn:
    """Run `module` in place of this program, in the same process and with nothing of what was imported."""
    if arguments.listen_fd is not None:
        os.set_inheritable(arguments.listen_fd, True)
    os.execve(sys.executable, _command(module, arguments), _environment())  # noqa: S606 - no shell


def die_with_parent(parent_pid: int | None) -> None:
    """Ask the kernel to kill this process when its parent ends; the first thing that a child does.

    None means that there is no such parent. Ends the process at once if the parent is gone already.
    """
    if parent_pid is None:
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit("the process that started this one is gone")


def dump_stacks_on_signal(path: Path) -> None:
    """Make STACK_SIGNAL append the stacks of all threads to `path`, even while the loop is blocked.

    What earlier processes wrote is kept, up to MAX_STACK_BYTES: it tells why they were killed.
    """
    file = open(path, "a")  # noqa: SIM115 - faulthandler keeps it open for as long as the process lives
    if file.tell() > MAX_STACK_BYTES:
        file.truncate(0)
    faulthandler.register(STACK_SIGNAL, file=file, all_threads=True)


def _environment() -> dict[str, str]:
    return {THREADS: "1"} | dict(os.environ)


def _command(module: str, arguments: ChildArguments) -> list[str]:
    # -P: nothing in the current directory may stand in for a module of ours.
    return [sys.executable, "-P", "-m", module, *command_line(arguments)]
