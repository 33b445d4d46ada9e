"""Workers under real clients: killed, hung, drained, orphaned."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from msgspec.structs import replace

from driftgate.gateway.serving.worker import JOIN_S
from driftgate.gateway.state.beat import BeatReading, BeatState, read_beat
from driftgate.gateway.state.desired import TOTAL_PPM, Arm, HeldVersion
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import beat_path
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from loadtests.zoo import ENDLESS, blocking

from harness.gateway import Gateway, took_s, until
from harness.models import publish_model
from harness.processes import children_of, runs
from harness.traffic import traffic

pytestmark = pytest.mark.alone

Start = Callable[..., Gateway]
Publish = Callable[..., Published]
KILL_ROUNDS, DRAIN_ROUNDS, STOPS = 5, 4, 3
PAIRS = ((0, 1), (1, 2), (2, 0))
"""Of three workers two at a time are killed or drained, so that one is there."""


def beat(gateway: Gateway, slot: int) -> BeatReading:
    reading = read_beat(beat_path(gateway.layout, slot))
    assert reading is not None
    return reading


def replaced(gateway: Gateway, slot: int, before: BeatReading) -> bool:
    now = beat(gateway, slot)
    return now.boot != before.boot and now.state is BeatState.ACCEPTING


def all_replaced(gateway: Gateway, before: Mapping[int, BeatReading]) -> bool:
    return all(replaced(gateway, slot, reading) for slot, reading in before.items())


@pytest.mark.slow
def test_a_killed_worker_loses_only_what_it_had_in_flight(
    start_gateway: Start, publish_version: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kills -9 fail at most one request per client, and workers are back within 2 s and their start."""
    publish_version("m")
    gateway = start_gateway(workers=3)
    clients, back = 8, []
    with traffic(gateway.ports.data, "m", clients, pause_s=0.005) as seen:
        until(seen.flows, 10, "requests flow")
        for number in range(KILL_ROUNDS):
            failed = len(seen.failed_at)
            victims = {slot: beat(gateway, slot) for slot in PAIRS[number % len(PAIRS)]}
            for victim in victims.values():
                os.kill(victim.pid, signal.SIGKILL)
            back.append(took_s(partial(all_replaced, gateway, victims), 10, "both are back"))
            assert len(seen.failed_at) - failed <= clients
    with capsys.disabled():
        kills = KILL_ROUNDS * len(PAIRS[0])
        print(f"\n{kills} kills: {len(seen.failed_at)} of {seen.answered} failed, back in {max(back):.2f} s")
    assert max(back) <= 4


@pytest.mark.slow
def test_hung_workers_are_replaced_and_the_others_serve_on(
    start_gateway: Start, publish_version: Publish, registry_root: Path, tmp_path: Path
) -> None:
    """A worker stuck in an inference and a stopped one are replaced within 7 s; the others answer."""
    publish_version("m")
    publish_model(blocking(1), registry_root, "endless")
    gateway = start_gateway(workers=3)
    before = [beat(gateway, slot) for slot in range(3)]
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(gateway.infer, "endless", [[ENDLESS, 0, 0, 0]])
        until(lambda: stuck_slot(gateway) is not None, 5, "the inference is seen in the beat")
        stuck = stuck_slot(gateway)
        assert stuck is not None
        stopped = (stuck + 1) % 3
        os.kill(before[stopped].pid, signal.SIGSTOP)
        for slot in (stuck, stopped):
            assert took_s(partial(replaced, gateway, slot, before[slot]), 10, "a new worker") <= 7
        with pytest.raises(httpx.TransportError):
            lost.result(5)
    log = gateway.log.read_text()
    assert '"running":"endless/1"' in log
    for slot in (stuck, stopped):
        assert f"process {before[slot].pid}, " in gateway.layout.stacks(slot).read_text()
    assert beat(gateway, 3 - stuck - stopped).boot == before[3 - stuck - stopped].boot
    assert gateway.infer("m", [[1, 2, 3, 4]]).status_code == 200


def stuck_slot(gateway: Gateway) -> int | None:
    """Return the slot that runs the endless model."""
    running = [
        slot for slot in range(3) if any(run.version == "endless/1" for run in beat(gateway, slot).runs)
    ]
    return running[0] if running else None


@pytest.mark.slow
def test_a_stop_fails_nothing_that_was_sent_in_time(
    start_gateway: Start, publish_version: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of requests sent until readiness went red and the drain was over, none fails; the exit code is 0."""
    publish_version("m")
    drain_s, answered, clients = 0.5, 0, 32
    for _ in range(STOPS):
        gateway = start_gateway(environment={"DRIFTGATE__TIMING__DRAIN_S": str(drain_s)})
        with traffic(gateway.ports.data, "m", clients, pause_s=0.02) as seen:
            until(seen.flows, 10, "requests flow")
            red_at = time.monotonic()
            gateway.process.terminate()
            time.sleep(drain_s)
        assert seen.failed_before(red_at + drain_s) == []
        assert gateway.process.wait(60) == 0
        answered += seen.answered
    with capsys.disabled():
        print(f"\n{STOPS} stops under {clients} clients: 0 of {answered} failed")


@contextmanager
def stuck_client(url: str) -> Iterator[None]:
    """A client that has sent half of its request and says no more."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{")
        yield


def test_a_stuck_client_cannot_hold_a_stop(start_gateway: Start, publish_version: Publish) -> None:
    """With a half-sent request open the gateway still ends within its grace period, with exit code 0."""
    publish_version("m")
    gateway = start_gateway(environment={"DRIFTGATE__TIMING__GRACE_S": "1"})
    with stuck_client(gateway.ports.data):
        until(lambda: beat(gateway, 0).in_flight == 1, 5, "the half request is in flight")
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began <= 6  # it takes 1.5; without an end of patience it would never end


@pytest.mark.slow
def test_a_drained_worker_hands_its_clients_over(start_gateway: Start, publish_version: Publish) -> None:
    """SIGTERM to two of three workers at a time, under kept connections, fails no request."""
    publish_version("m")
    gateway = start_gateway(workers=3, environment={"DRIFTGATE__TIMING__DRAIN_S": "0.5"})
    with traffic(gateway.ports.data, "m", clients=32, pause_s=0.02) as seen:
        until(seen.flows, 10, "requests flow")
        for number in range(DRAIN_ROUNDS):
            before = {slot: beat(gateway, slot) for slot in PAIRS[number % len(PAIRS)]}
            for reading in before.values():
                os.kill(reading.pid, signal.SIGTERM)
            until(partial(all_replaced, gateway, before), 10, "both are back")
    assert seen.reasons == []


def test_a_killed_gateway_leaves_no_orphans(start_gateway: Start, publish_version: Publish) -> None:
    """SIGKILL of the gateway ends its processes within 2 s; a restart serves the same on the same port."""
    publish_version("m")
    gateway = start_gateway(workers=2)
    port = gateway.ports.data.rpartition(":")[2]
    children = children_of(gateway.process.pid)
    assert len(children) == 5  # control, monitor, probes and two workers
    gateway.infer("m", [[1, 2, 3, 4]])
    gateway.process.kill()
    gateway.process.wait()
    assert took_s(lambda: not any(runs(pid) for pid in children), 5, "the children are gone") <= 2
    second = start_gateway("--port", port, workers=2)
    assert second.ports.data == gateway.ports.data
    assert second.infer("m", [[1, 2, 3, 4]]).status_code == 200


def test_a_worker_that_joins_late_serves_what_was_committed_meanwhile(
    start_gateway: Start, publish_version: Publish
) -> None:
    """Weights that come between a worker's word that it joins and its first answer are those it serves by."""
    publish_version("m")
    gateway = start_gateway()
    control = read_beat(gateway.layout.control_beat)
    assert control is not None
    with stopped(control.pid), ThreadPoolExecutor(1) as pool:
        with stopped(joining_worker(gateway)):
            promote_by_hand(gateway, publish_version("m", scale=2.0).version)
            asked = pool.submit(gateway.infer, "m", [[1, 2, 3, 4]])
            time.sleep(2 * JOIN_S)  # so that it thinks of nothing but its first request when it goes on
        assert asked.result(10).headers["x-served-by"].startswith("version=2,")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def joining_worker(gateway: Gateway) -> int:
    """Replace the only worker until one is stopped after it said that it joins and before it does."""
    for _ in range(5):
        before = beat(gateway, 0)
        os.kill(before.pid, signal.SIGKILL)
        until(partial(says_that_it_joins, gateway, before), 10, "a new worker says that it joins")
        now = beat(gateway, 0)
        os.kill(now.pid, signal.SIGSTOP)
        if beat(gateway, 0).state is BeatState.STARTING:
            return now.pid
        os.kill(now.pid, signal.SIGCONT)
    raise AssertionError("no worker could be stopped while it was joining")


def says_that_it_joins(gateway: Gateway, before: BeatReading) -> bool:
    (status,), now = gateway.statuses(), beat(gateway, 0)
    return status.accepting and now.boot == status.boot != before.boot


def promote_by_hand(gateway: Gateway, version: int) -> None:
    """Commit, as control would, that `version`, which no worker has seen, has all traffic."""
    registry, store = DirectoryRegistry(gateway.registry), GenerationStore(gateway.layout.desired)
    published = registry.scan().models["m"].versions[version]
    VersionCache(gateway.layout.cache).add(registry, published)
    found = store.newest()
    assert found is not None
    state, _ = found
    model = state.models["m"]
    model = replace(
        model,
        held=(*model.held, HeldVersion(version, published.digest, 1)),
        split=replace(model.split, arms=(Arm("stable", version, TOTAL_PPM),)),
    )
    following = state.generation + 1
    store.commit(
        replace(state, generation=following, previous=store.digest(state.generation), models={"m": model})
    )
