"""Shadows: they see the very rows, are recorded beside the answers, and slow nobody."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.gateway.state.slots import slot_numbers
from driftgate.models.publish.onnx_file import Published
from driftgate.monitoring.archive.record_filter import RecordFilter
from driftgate.monitoring.book.log_query import Places, records_of_version
from driftgate.monitoring.log.compare import VersionRecords, compare
from loadtests.zoo import ENDLESS, blocking

from harness.gateway import Gateway, until
from harness.models import killer_model, publish_model, slow_model

Start = Callable[..., Gateway]
Publish = Callable[..., Published]

QUICK = {"DRIFTGATE__TIMING__REGISTRY_POLL_S": "0.1"}
REQUESTS = 60
ASKED, ROUNDS = 400, 4
"""Others use this machine too: the promise must hold in one of the rounds."""
NOISE_S = 0.001
"""What the scheduler may add to one request in a hundred, shadow or not."""


def places(gateway: Gateway) -> Places:
    """Where the gateway's records are."""
    layout = gateway.layout
    return Places(
        layout.monitor_db,
        layout.archive,
        lambda: {number: layout.log(number) for number in slot_numbers(layout)},
    )


def records(gateway: Gateway, version: int, arm: str) -> VersionRecords | None:
    """What is recorded of a version in an arm."""
    return records_of_version(places(gateway), RecordFilter("m", version, arm))


def count(gateway: Gateway, version: int, arm: str) -> int:
    """How many records there are."""
    found = records(gateway, version, arm)
    return len(found.prediction_ids) if found else 0


def metric(gateway: Gateway, name: str) -> float:
    """A metric of version 2."""
    lines = gateway.client.get(f"{gateway.ports.metrics}/metrics").text.splitlines()
    return sum(
        float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + '{model="m",version="2"')
    )


def shadow(gateway: Gateway, percent: float = 100) -> None:
    """Make version 2 a shadow, in force on every worker."""
    gateway.wait_version("m", 2)
    answer = gateway.admin("PUT", "/api/models/m/shadow", {"version": 2, "percent": percent})
    assert (answer.status_code, answer.json()["state"]) == (200, "committed"), answer.text
    newest = answer.json()["generation"]
    until(lambda: all(s.generation >= newest for s in gateway.statuses()), 5, "the shadow is in force")


def p99_s(gateway: Gateway) -> float:
    """The 99th percentile of the time of one request, asked one after the other."""
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        assert gateway.infer("m", [[1, 2, 3, 4]]).status_code == 200
        took.append(time.perf_counter() - began)
    return sorted(took)[int(ASKED * 0.99)]


def alone_and_followed_s(gateway: Gateway) -> tuple[float, float]:
    """That percentile without a shadow and with one."""
    shadow(gateway, percent=0)
    alone_s = p99_s(gateway)
    shadow(gateway)
    return alone_s, p99_s(gateway)


def test_a_shadow_computes_the_same_rows(start_gateway: Start, publish_version: Publish) -> None:
    """Every answered row is recorded once more under the same id, and the pairs can be compared."""
    publish_version("m", version=1, scale=1.0)
    gateway = start_gateway(workers=2, environment=QUICK)
    publish_version("m", version=2, scale=3.0)
    shadow(gateway)
    answers = [gateway.infer("m", [[n, 0, 0, 0], [0, n, 0, 0]]) for n in range(REQUESTS)]
    assert {answer.json()["model_version"] for answer in answers} == {"1"}
    until(lambda: count(gateway, 2, "shadow") == 2 * REQUESTS, 10, "all copies are recorded")
    assert metric(gateway, "driftgate_shadow_rows_total") == 2 * REQUESTS
    assert metric(gateway, "driftgate_shadow_dropped_rows_total") == 0
    answered, copied = records(gateway, 1, "stable"), records(gateway, 2, "shadow")
    assert answered is not None
    assert copied is not None
    assert set(copied.prediction_ids) == {answer.headers["x-prediction-id"] for answer in answers}
    found = compare(answered, copied, worst=1)
    assert (found.pairs, found.outputs[0].differing) == (2 * REQUESTS, 2 * (REQUESTS - 1))
    most = REQUESTS - 1
    assert (found.worst[0].difference, found.worst[0].a, found.worst[0].b) == (
        2.0 * most,
        {"y": most},
        {"y": 3.0 * most},
    )
    assert gateway.admin("PUT", "/api/models/m/shadow", {"version": 2, "percent": 0}).status_code == 200
    assert gateway.model("m")["shadows"] == []


def test_shadows_from_the_command_line(start_gateway: Start, publish_version: Publish) -> None:
    """A version is shadowed, compared on what it saw, and shadowed no more, with three commands."""
    publish_version("m", version=1, scale=1.0)
    gateway = start_gateway(environment=QUICK)
    publish_version("m", version=2, scale=3.0)
    gateway.wait_version("m", 2)
    server, state = ("--server", gateway.ports.admin), ("--state", str(gateway.layout.root))
    assert command("compare", "m", "1", "2", *state).returncode == 3
    shown = command("shadow", "m", "2", "--share", "100%", *server)
    assert (shown.returncode, "copies to 2: 100 %" in shown.stdout) == (0, True)
    for n in range(REQUESTS):
        gateway.infer("m", [[n, 0, 0, 0]])
    until(lambda: count(gateway, 2, "shadow") == REQUESTS, 10, "all copies are recorded")
    found = json.loads(command("compare", "m", "1", "2", "--json", "--worst", "2", *state).stdout)
    assert (found["pairs"], found["flips"], len(found["worst"])) == (REQUESTS, None, 2)
    assert found["worst"][0]["inputs"]["f0"] == REQUESTS - 1
    table = command("compare", "m", "1", "2", "--worst", "1", *state).stdout
    assert f"{REQUESTS} rows computed by both" in table
    assert command("unshadow", "m", "2", *server).returncode == 0
    assert gateway.model("m")["shadows"] == []


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run `driftgate traffic`."""
    program = (sys.executable, "-m", "driftgate.gateway.cli.main", "traffic")
    return subprocess.run([*program, *words], capture_output=True, text=True, check=False)


@pytest.mark.alone
def test_a_slow_shadow_slows_nobody(
    start_gateway: Start, publish_version: Publish, registry_root: Path
) -> None:
    """A shadow of some 20 ms a call drops what it cannot do, counts that, and costs callers nothing."""
    publish_version("m", version=1)
    gateway = start_gateway(environment=QUICK)
    publish_model(slow_model(1400), registry_root, version=2)
    gateway.wait_version("m", 2)
    rounds = [alone_and_followed_s(gateway) for _ in range(ROUNDS)]
    assert any(followed_s <= 1.5 * alone_s + NOISE_S for alone_s, followed_s in rounds), rounds
    until(
        lambda: metric(gateway, "driftgate_shadow_dropped_rows_total") > 0, 5, "rows are dropped and counted"
    )

    def accounted() -> float:
        computed = metric(gateway, "driftgate_shadow_rows_total")
        return computed + metric(gateway, "driftgate_shadow_dropped_rows_total")

    until(lambda: accounted() == ROUNDS * ASKED, 10, "every row is computed or counted as dropped")


def test_a_shadow_that_never_ends_stops_nobody(
    start_gateway: Start, publish_version: Publish, registry_root: Path
) -> None:
    """An inference of a shadow may take for ever: the worker stays, and answers."""
    publish_version("m", version=1)
    gateway = start_gateway(environment={**QUICK, "DRIFTGATE__TIMING__STUCK_INFERENCE_S": "0.5"})
    publish_model(blocking(1), registry_root, version=2)
    shadow(gateway)
    (worker,) = gateway.statuses()
    assert gateway.infer("m", [[ENDLESS, 2, 3, 4]]).status_code == 200
    until_s = time.monotonic() + 2
    while time.monotonic() < until_s:
        assert gateway.infer("m", [[1, 2, 3, 4]]).json()["outputs"][0]["data"] == [10.0]
    assert [one.pid for one in gateway.statuses()] == [worker.pid]


def test_a_shadow_that_kills_workers_gets_no_more_copies(
    start_gateway: Start, publish_version: Publish, registry_root: Path
) -> None:
    """It is ejected like a version with traffic; until then a crash may cost requests in flight."""
    publish_version("m", version=1)
    gateway = start_gateway(environment=QUICK)
    publish_model(killer_model(777), registry_root, version=2)
    shadow(gateway)
    assert gateway.infer("m", [[777, 2, 3, 4]]).status_code == 200
    until(lambda: "2" in gateway.model("m").get("ejected", {}), 10, "the shadow is ejected")
    until(gateway.ready, 10, "the worker is back")
    for _ in range(20):
        assert gateway.infer("m", [[777, 2, 3, 4]]).status_code == 200
