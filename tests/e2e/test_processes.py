"""The supervisor with real processes: children that crash, hang, stay and leave, without any model."""

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from driftgate.gateway.listeners import read_ports
from driftgate.gateway.settings import ServerSettings, Settings, TimingSettings
from driftgate.gateway.state.beat import BeatState
from driftgate.gateway.state.desired import DesiredState
from driftgate.gateway.state.generations import GenerationStore

from harness.gateway import took_s, until
from harness.processes import Supervised, children_of, runs

Start = Callable[..., Supervised]
DEFAULT_TIMING = TimingSettings()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start gateways on the test's own state directory; all are ended with the test."""
    with contextlib.ExitStack() as started:

        def begin(
            workers: int = 2,
            timing: TimingSettings = DEFAULT_TIMING,
            ports: tuple[int, int, int] = (0, 0, 0),
        ) -> Supervised:
            server = ServerSettings(
                port=ports[0],
                admin_port=ports[1],
                metrics_port=ports[2],
                workers=workers,
                state=str(tmp_path / "state"),
            )
            gateway = Supervised(tmp_path, Settings(server=server, timing=timing))
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
    assert len(children_of(gateway.process.pid)) == 5
    for directory in (gateway.layout.root, gateway.layout.desired, gateway.layout.slot(0)):
        assert directory.stat().st_mode & 0o777 == 0o700
    gateway.process.terminate()
    assert gateway.process.wait(60) == 0
    assert read_ports(gateway.layout.root) is None


@pytest.mark.alone
def test_a_killed_worker_is_back_within_two_seconds(start: Start) -> None:
    """Each of several kills costs one worker for a moment and nobody else anything."""
    gateway = start()
    gateway.wait_ready()
    bystander = gateway.beat(1)
    for _ in range(3):
        victim = gateway.beat(0)
        os.kill(victim.pid, signal.SIGKILL)
        assert took_s(partial(gateway.replaced, 0, victim), 5, "the worker is replaced") <= 2
    assert gateway.beat(1).boot == bystander.boot
    assert [line["exit"] for line in gateway.events("process_ended")] == ["SIGKILL"] * 3


def test_a_crash_loop_backs_off_and_harms_nobody(start: Start) -> None:
    """A worker that ends at once is started ever more rarely; the log names what it was running."""
    gateway = start()
    gateway.wait_ready()
    bystander = gateway.beat(1)
    gateway.order(0, "crash")
    until(lambda: len(gateway.events("process_ended")) >= 4, 10, "four crashes")
    ended = gateway.events("process_ended")
    assert [line["restart_in_s"] for line in ended[:4]] == [0.1, 0.2, 0.4, 0.8]
    assert ended[0]["running"] == ["fraud/8"]
    assert gateway.beat(0).state is BeatState.DEAD
    assert gateway.beat(1).boot == bystander.boot


@pytest.mark.alone
def test_hung_workers_are_seen_dumped_and_replaced(start: Start) -> None:
    """A blocked loop, a stopped process and a stuck inference: seen within 5 s, replaced within 7 s."""
    gateway = start(workers=4)
    gateway.wait_ready()
    before = [gateway.beat(slot) for slot in range(4)]
    gateway.order(0, "block")
    gateway.order(1, "stick")
    os.kill(before[2].pid, signal.SIGSTOP)
    assert took_s(lambda: len(gateway.events("process_hangs")) == 3, 10, "all three are seen") <= 5
    replaced = took_s(
        lambda: all(gateway.replaced(slot, before[slot]) for slot in range(3)), 10, "all three are replaced"
    )
    assert replaced <= 2
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
    until(lambda: gateway.replaced(0, retired), 5, "the retired worker is replaced")
    assert gateway.beat(1).boot == kept.boot
    assert gateway.events("process_ended") == []


def test_an_unreadable_desired_state_stops_nobody(start: Start) -> None:
    """A damaged generation is logged, and the workers run on."""
    gateway = start()
    gateway.wait_ready()
    before = gateway.beat(0)
    (gateway.layout.desired / "1.json").write_bytes(b"{")
    until(lambda: len(gateway.events("desired_state_unreadable")) == 1, 5, "it is logged")
    until(lambda: gateway.beat(0).heartbeat_ns > before.heartbeat_ns, 5, "the worker pulses")
    assert gateway.beat(0).boot == before.boot


@pytest.mark.alone
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
        assert took_s(lambda: not any(runs(pid) for pid in children), 5, "the children are gone") <= 2
        second = start(ports=(data, admin, metrics))
        assert second.wait_ready() == ports.data


def test_a_second_gateway_on_the_same_state_is_refused(start: Start) -> None:
    """The second one ends with a sentence that names the first, which does not notice."""
    first = start()
    first.wait_ready()
    second = start()
    assert second.process.wait(60) == 1
    assert f"process {first.process.pid} runs a gateway on the state directory" in second.log
    assert first.process.poll() is None
    assert read_ports(first.layout.root) is not None


def test_a_stop_takes_workers_first_then_the_rest(start: Start) -> None:
    """SIGTERM ends everything in order with exit code 0."""
    gateway = start()
    gateway.wait_ready()
    children = children_of(gateway.process.pid)
    gateway.process.terminate()
    assert gateway.process.wait(60) == 0
    assert not any(runs(pid) for pid in children)
    asked = [str(line["child"]) for line in gateway.events("process_stopping")]
    assert asked[:2] == ["worker-0", "worker-1"]
    assert sorted(asked[2:]) == ["control", "monitor", "probes"]


def test_a_stop_does_not_wait_for_ever(start: Start) -> None:
    """A worker that will not leave is killed when its time is over, and the exit code is still 0."""
    gateway = start(timing=TimingSettings(drain_s=0, grace_s=0.5))
    gateway.wait_ready()
    gateway.order(0, "stay")
    until(lambda: gateway.obeyed(0), 5, "the order is obeyed")
    gateway.process.terminate()
    assert gateway.process.wait(60) == 0
    assert [line["child"] for line in gateway.events("process_killed")] == ["worker-0"]


def test_the_second_interrupt_stops_at_once(start: Start) -> None:
    """Ctrl-C drains; a second Ctrl-C does not wait for anybody."""
    gateway = start()
    gateway.wait_ready()
    children = children_of(gateway.process.pid)
    gateway.order(0, "stay")
    until(lambda: gateway.obeyed(0), 5, "the order is obeyed")
    gateway.process.send_signal(signal.SIGINT)
    until(lambda: len(gateway.events("process_stopping")) == 2, 5, "the workers are asked to stop")
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(2) == 130
    assert not any(runs(pid) for pid in children)
