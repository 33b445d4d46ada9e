"""Compacts views that are mostly pushed, one at a time, each in a process that nobody waits for.

A compaction reads and writes a whole snapshot, for seconds or minutes: pushes must not wait for that. It is
the command that people have for it. One that fails, or is killed, changes nothing and is tried again later.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from driftgate.features.embedded.compaction import is_due
from driftgate.features.embedded.snapshots import ViewFiles, snapshots
from driftgate.features.errors import FeatureError
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.niceness import NICENESS

AGAIN_S = 600.0
"""Between two attempts at one view."""
LOAD_LEFT_S = 86_400.0
"""For so long an interrupted load may be taken up again, which a compaction would spoil."""
STOP_S = 5.0


class Compactions:
    """What is being compacted, and what was tried when; its times are of `time.monotonic`."""

    def __init__(self, state: Path, registry: Path, least: int, logger: Logger) -> None:
        """`least` is how many pushed rows no snapshot has before a view is compacted; 0 compacts none."""
        self._root = state / "features"
        self._places = ["--state", str(state), "--registry", str(registry)]
        self._least = least
        self._logger = logger
        self._tried_at: dict[str, float] = {}
        self._running: tuple[str, subprocess.Popen[bytes]] | None = None

    def step(self, pending: Mapping[str, int], now: float) -> None:
        """Tell what has ended, and begin with the next view; `pending` rows of each are in no snapshot."""
        if self._running is not None and self._running[1].poll() is not None:
            self._tell(*self._running)
            self._running = None
        for view, rows in pending.items():
            rested = now >= self._tried_at.get(view, -AGAIN_S) + AGAIN_S
            if self._running is None and rested and self._is_due(view, rows):
                self._tried_at[view] = now
                self._running = view, self._start(view)

    def close(self) -> None:
        """Stop what is running; it is made anew some time."""
        if self._running is not None:
            self._running[1].terminate()
            try:
                self._running[1].wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._running[1].kill()
                self._running[1].wait()

    def _is_due(self, view: str, pending: int) -> bool:
        if not 0 < self._least <= pending:
            return False
        files = ViewFiles(self._root, view)
        try:
            loading = (files.directory / ".loading").stat().st_mtime
        except OSError:
            loading = 0.0
        try:
            held = snapshots(files)
        except FeatureError:
            return False
        return time.time() > loading + LOAD_LEFT_S and is_due(held, pending, self._least, time.time())

    def _start(self, view: str) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-P", "-m", "driftgate.gateway.cli.main", "features", "compact", view]
        process = subprocess.Popen(
            [*words, *self._places],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    def _tell(self, view: str, process: "subprocess.Popen[bytes]") -> None:
        output = process.communicate()[0].decode(errors="replace").strip()
        if process.returncode == 0:
            self._logger.info("features_compacted", view=view, made=output)
        else:
            self._logger.error("features_not_compacted", view=view, reason=output or "it was killed")
