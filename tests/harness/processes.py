"""A supervisor over stand-ins: small processes that beat like workers and hang, crash or stay on order."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import Settings
from driftgate.gateway.state.beat import BeatReading, BeatState, read_beat
from driftgate.gateway.state.slots import beat_path

WORKER = """
import os, signal, sys, time, uuid
from pathlib import Path
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.slots import SlotLease, beat_path
from driftgate.gateway.processes.spawn import child_arguments, die_with_parent, dump_stacks_on_signal

def blocked():
    time.sleep(1000)

def obey(order, beat):
    if order == "block":
        blocked()
    elif order == "stick":
        beat.start_run(0, b"fraud/7", time.monotonic_ns())
    elif order == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif order == "crash":
        beat.start_run(0, b"fraud/8", time.monotonic_ns())
        os._exit(3)

arguments = child_arguments(None)
die_with_parent(arguments.parent_pid)
layout = StateLayout(Path(arguments.settings.server.state))
lease = SlotLease.acquire(layout, arguments.slot)
dump_stacks_on_signal(layout.stacks(arguments.slot))
beat = Beat.create(beat_path(layout, arguments.slot), uuid.uuid4().hex, os.getpid(), time.monotonic_ns())
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
orders = layout.slot(arguments.slot) / "orders"
beat.state = BeatState.ACCEPTING
while True:
    beat.pulse(time.monotonic_ns(), 0, 0, 0)
    if orders.exists():
        order = orders.read_text()
        if order == "block":
            orders.unlink()
        obey(order, beat)
        orders.unlink()
    time.sleep(0.02)
"""
HELPER = """
import signal, sys
from driftgate.gateway.processes.spawn import child_arguments, die_with_parent
die_with_parent(child_arguments(None).parent_pid)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
signal.pause()
"""
SUPERVISOR = """
import sys, msgspec
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.processes.event_logger import EventLogger
from driftgate.gateway.settings import Settings
from driftgate.gateway.processes.supervisor import ChildModules, Supervisor
settings = msgspec.json.decode(sys.argv[1], type=Settings)
modules = ChildModules("standin_worker", "standin_helper", "standin_helper", "standin_helper")
def announce(ports):
    print(ports.data, flush=True)
try:
    sys.exit(Supervisor(settings, EventLogger("supervisor"), announce, modules).run())
except CannotStart as error:
    sys.exit(str(error))
"""


def runs(pid: int) -> bool:
    """Tell whether a process is there and not just waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """Return the pids of the direct children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Supervised:
    """A supervisor with stand-ins for children, started in a process of its own."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.layout = StateLayout(directory / "state")
        self.settings = settings
        self._log = directory / f"log-{time.monotonic_ns()}"
        for name, code in (("standin_worker", WORKER), ("standin_helper", HELPER)):
            (directory / f"{name}.py").write_text(code)
        with open(self._log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SUPERVISOR, msgspec.json.encode(settings).decode()],
                env={**os.environ, "PYTHONPATH": str(directory)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait_ready(self) -> str:
        """Return the URL that is announced when all workers accept."""
        return self.process.stdout.readline().strip() if self.process.stdout else ""

    def beat(self, slot: int) -> BeatReading:
        """Return the beat of a slot."""
        reading = read_beat(beat_path(self.layout, slot))
        if reading is None:
            raise AssertionError(f"slot {slot} has no beat")
        return reading

    def order(self, slot: int, order: str) -> None:
        """Tell the process in a slot what to do."""
        unfinished = self.layout.slot(slot) / ".orders"
        unfinished.write_text(order)
        unfinished.rename(self.layout.slot(slot) / "orders")

    def obeyed(self, slot: int) -> bool:
        """Tell whether the process in a slot has done what it was told."""
        return not (self.layout.slot(slot) / "orders").exists()

    def replaced(self, slot: int, before: BeatReading) -> bool:
        """Tell whether another process accepts in a slot."""
        now = self.beat(slot)
        return now.boot != before.boot and now.state is BeatState.ACCEPTING

    def events(self, event: str) -> list[dict[str, object]]:
        """Return the log lines of one event."""
        lines = (msgspec.json.decode(line) for line in self._log.read_text().splitlines() if line[:1] == "{")
        return [line for line in lines if line["event"] == event]

    @property
    def log(self) -> str:
        """All that was written to standard error."""
        return self._log.read_text()

    def close(self) -> None:
        """End the supervisor, and with it everything."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
