"""The supervisor with real processes: children that crash, hang, stay and leave, without any model."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from driftgate.gateway.beat import BeatReading, BeatState, read_beat
from driftgate.gateway.desired import DesiredState
from driftgate.gateway.generations import GenerationStore
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import read_ports
from driftgate.gateway.settings import ServerSettings, Settings, TimingSettings
from driftgate.gateway.slots import beat_path

WORKER = """
import os, signal, sys, time, uuid
from pathlib import Path
from driftgate.gateway.beat import Beat, BeatState
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.slots import SlotLease, beat_path
from driftgate.gateway.spawn import child_arguments, die_with_parent, dump_stacks_on_signal

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
        if order != "crash":
            orders.unlink()
        obey(order, beat)
    time.sleep(0.02)
"""
HELPER = """
import signal, sys
from driftgate.gateway.spawn import child_arguments, die_with_parent
die_with_parent(child_arguments(None).parent_pid)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
signal.pause()
"""
SUPERVISOR = """
import sys, msgspec
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.logs import Logger
from driftgate.gateway.settings import Settings
from driftgate.gateway.supervisor import ChildModules, Supervisor
settings = msgspec.json.decode(sys.argv[1], type=Settings)
modules = ChildModules("standin_worker", "standin_helper", "standin_helper")
def announce(ports):
    print(ports.data, flush=True)
try:
    sys.exit(Supervisor(settings, Logger("supervisor"), announce, modules).run())
except CannotStart as error:
    sys.exit(str(error))
"""


def until(condition: Callable[[], bool], within_s: float) -> float:
    """Wait for a condition and return the seconds that it took; fail if it takes too long."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"still not so after {within_s} s"
        time.sleep(0.01)
    return time.monotonic() - began


def runs(pid: int) -> bool:
    """Tell whether a process is there and not just waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """Return the pids of the direct children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Gateway:
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
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def beat(self, slot: int) -> BeatReading:
        """Return the beat of a slot."""
        reading = read_beat(beat_path(self.layout, slot))
        assert reading is not None
        return reading

    def order(self, slot: int, order: str) -> None:
        """Tell the process in a slot what to do."""
        unfinished = self.layout.slot(slot) / ".orders"
        unfinished.write_text(order)
        unfinished.rename(self.layout.slot(slot) / "orders")

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


Start = Callable[..., Gateway]
DEFAULT_TIMING = TimingSettings()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start gateways on the test's own state directory; all are ended with the test."""
    with contextlib.ExitStack() as started:

        def begin(
            workers: int = 2,
            timing: TimingSettings = DEFAULT_TIMING,
            ports: tuple[int, int, int] = (0, 0, 0),
        ) -> Gateway:
            server = ServerSettings(
                port=ports[0],
                admin_port=ports[1],
                metrics_port=ports[2],
                workers=workers,
                state=str(tmp_path / "state"),
            )
            gateway = Gateway(tmp_path, Settings(server=server, timing=timing))
            started.callback(gateway.close)
            return gateway

        yield begin


def test_a_started_gateway_tells_where_it_is(start: Start) -> None:
    """Ports that were chosen are announced and written down while it runs; its directories are private."""
    gateway = start()
    url = gateway.wait_ready()
    ports = read_ports(gateway.layout.root)
    assert ports is not None
    assert (ports.data, ports.pid) == (url, gateway.process.pid)
    assert len(children_of(gateway.process.pid)) == 4
    for directory in (gateway.layout.root, gateway.layout.desired, gateway.layout.slot(0)):
        assert directory.stat().st_mode & 0o777 == 0o700
    gateway.process.terminate()
    assert gateway.process.wait(10) == 0
    assert read_ports(gateway.layout.root) is None


def test_a_killed_worker_is_back_within_two_seconds(start: Start) -> None:
    """Each of several kills costs one worker for a moment and nobody else anything."""
    gateway = start()
    gateway.wait_ready()
    bystander = gateway.beat(1)
    for _ in range(3):
        victim = gateway.beat(0)
        os.kill(victim.pid, signal.SIGKILL)
        assert until(lambda victim=victim: gateway.replaced(0, victim), 5) <= 2  # type: ignore[misc]
    assert gateway.beat(1).boot == bystander.boot
    assert [line["exit"] for line in gateway.events("process_ended")] == ["SIGKILL"] * 3


def test_a_crash_loop_backs_off_and_harms_nobody(start: Start) -> None:
    """A worker that ends at once is started ever more rarely; the log names what it was running."""
    gateway = start()
    gateway.wait_ready()
    bystander = gateway.beat(1)
    gateway.order(0, "crash")
    until(lambda: len(gateway.events("process_ended")) >= 4, 10)
    ended = gateway.events("process_ended")
    assert [line["restart_in_s"] for line in ended[:4]] == [0.1, 0.2, 0.4, 0.8]
    assert ended[0]["running"] == ["fraud/8"]
    assert gateway.beat(0).state is BeatState.DEAD
    assert gateway.beat(1).boot == bystander.boot


def test_hung_workers_are_seen_dumped_and_replaced(start: Start) -> None:
    """A blocked loop, a stopped process and a stuck inference: seen within 5 s, replaced within 7 s."""
    gateway = start(workers=4)
    gateway.wait_ready()
    before = [gateway.beat(slot) for slot in range(4)]
    gateway.order(0, "block")
    gateway.order(1, "stick")
    os.kill(before[2].pid, signal.SIGSTOP)
    assert until(lambda: len(gateway.events("process_hangs")) == 3, 10) <= 5
    assert until(lambda: all(gateway.replaced(slot, before[slot]) for slot in range(3)), 10) <= 2
    hung = {line["child"]: (line["why"], line["running"]) for line in gateway.events("process_hangs")}
    assert hung == {
        "worker-0": ("blocked loop", ""),
        "worker-1": ("stuck inference", "fraud/7"),
        "worker-2": ("blocked loop", ""),
    }
    stacks = [gateway.layout.stacks(slot).read_text() for slot in range(3)]
    assert "in blocked" in stacks[0]
    assert all(
        re.search(rf"process {was.pid}, (?s:.*) in ", text) for was, text in zip(before, stacks, strict=False)
    )
    assert gateway.beat(3).boot == before[3].boot


def test_a_retired_boot_is_replaced(start: Start) -> None:
    """A worker whose boot id the newest generation retires is replaced at once, and only that one."""
    gateway = start()
    gateway.wait_ready()
    retired, kept = gateway.beat(0), gateway.beat(1)
    store = GenerationStore(gateway.layout.desired)
    store.commit(
        DesiredState(generation=1, previous="", who="test", why="", at="", retired_boots=(retired.boot,))
    )
    until(lambda: gateway.replaced(0, retired), 5)
    assert gateway.beat(1).boot == kept.boot
    assert gateway.events("process_ended") == []


def test_an_unreadable_desired_state_stops_nobody(start: Start) -> None:
    """A damaged generation is logged, and the workers run on."""
    gateway = start()
    gateway.wait_ready()
    before = gateway.beat(0)
    (gateway.layout.desired / "1.json").write_bytes(b"{")
    until(lambda: len(gateway.events("desired_state_unreadable")) == 1, 5)
    until(lambda: gateway.beat(0).heartbeat_ns > before.heartbeat_ns, 5)
    assert gateway.beat(0).boot == before.boot


def test_a_killed_supervisor_leaves_no_orphans(start: Start) -> None:
    """SIGKILL of the supervisor ends all children within 2 s, and a restart binds the same ports at once."""
    gateway = start()
    gateway.wait_ready()
    children = children_of(gateway.process.pid)
    gateway.order(0, "block")
    ports = read_ports(gateway.layout.root)
    assert ports is not None
    data, admin, metrics = (int(url.rpartition(":")[2]) for url in (ports.data, ports.admin, ports.metrics))
    with socket.create_connection(("127.0.0.1", data)):
        gateway.process.kill()
        gateway.process.wait()
        assert until(lambda: not any(runs(pid) for pid in children), 5) <= 2
        second = start(ports=(data, admin, metrics))
        assert second.wait_ready() == ports.data


def test_a_second_gateway_on_the_same_state_is_refused(start: Start) -> None:
    """The second one ends with a sentence that names the first, which does not notice."""
    first = start()
    first.wait_ready()
    second = start()
    assert second.process.wait(10) == 1
    assert f"process {first.process.pid} runs a gateway on the state directory" in second.log
    assert first.process.poll() is None
    assert read_ports(first.layout.root) is not None


def test_a_stop_takes_workers_first_then_the_rest(start: Start) -> None:
    """SIGTERM ends everything in order with exit code 0."""
    gateway = start()
    gateway.wait_ready()
    children = children_of(gateway.process.pid)
    gateway.process.terminate()
    assert gateway.process.wait(10) == 0
    assert not any(runs(pid) for pid in children)
    asked = [str(line["child"]) for line in gateway.events("process_stopping")]
    assert asked[:2] == ["worker-0", "worker-1"]
    assert sorted(asked[2:]) == ["control", "probes"]


def test_a_stop_does_not_wait_for_ever(start: Start) -> None:
    """A worker that will not leave is killed when its time is over, and the exit code is still 0."""
    gateway = start(timing=TimingSettings(drain_s=0, grace_s=0.5))
    gateway.wait_ready()
    gateway.order(0, "stay")
    until(lambda: not (gateway.layout.slot(0) / "orders").exists(), 5)
    until(lambda: gateway.beat(0).heartbeat_ns > time.monotonic_ns() - 100_000_000, 5)
    gateway.process.terminate()
    assert gateway.process.wait(10) == 0
    assert [line["child"] for line in gateway.events("process_killed")] == ["worker-0"]


def test_the_second_interrupt_stops_at_once(start: Start) -> None:
    """Ctrl-C drains; a second Ctrl-C does not wait for anybody."""
    gateway = start()
    gateway.wait_ready()
    children = children_of(gateway.process.pid)
    gateway.order(0, "stay")
    until(lambda: not (gateway.layout.slot(0) / "orders").exists(), 5)
    gateway.process.send_signal(signal.SIGINT)
    until(lambda: len(gateway.events("process_stopping")) == 2, 5)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(2) == 130
    assert not any(runs(pid) for pid in children)
