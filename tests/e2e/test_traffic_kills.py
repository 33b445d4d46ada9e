"""Random changes of traffic while control and workers are killed: nothing fails and no state is made up."""

import http.client
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.desired import TOTAL_PPM
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import beat_path
from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until
from harness.traffic import BODY, asking

Start = Callable[..., Gateway]
Publish = Callable[..., Published]

CHANGES = 300
WITHIN_S = 45.0
KILL_CONTROL = 0.03
KILL_WORKER = 0.02
CHANGE_S = 0.02
ATTEMPTS = 10
VERSIONS = (1, 2, 3)
EXPECTED = {200, 202, 400, 404, 409, 412, 428}
ANY = {"if-match": "*"}


@dataclass
class Seen:
    """What clients saw that ask again when their connection breaks, as any client must."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    generations: set[int] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask(self, url: str) -> None:
        """Ask until stopped; a request fails if its answer is no 200, or nobody answers it at all.

        On one connection, an answer by an older generation than the one before is a failure too.
        """
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        newest = 0
        while not self.stopping.is_set():
            for _ in range(ATTEMPTS):
                try:
                    connection.request("POST", "/v2/models/m/infer", BODY)
                    response = connection.getresponse()
                    response.read()
                    break
                except (OSError, http.client.HTTPException):
                    connection.close()
                    newest = 0
            else:
                self.failed.append("no answer")
                continue
            if response.status != 200:
                self.failed.append(f"{response.status}")
            self.answered += 1
            generation = int(response.headers["x-served-by"].partition("generation=")[2].split(",")[0])
            if generation < newest:
                self.failed.append(f"generation {generation} after {newest}")
            newest = 0 if response.will_close else generation
            self.generations.add(generation)
            time.sleep(0.002)
        connection.close()


def random_change(rng: random.Random) -> tuple[str, str, object]:
    """Method, verb and body of something that an operator may ask for, sometimes wrongly."""
    first, second = sorted(rng.sample(range(101), 2))
    arms = {"1": first, "2": second - first, "3": 100 - second}
    return rng.choice(
        [
            ("PUT", "traffic", {"arms": arms}),
            ("PUT", "traffic", {"arms": arms}),
            ("PUT", "traffic", {"arms": {"1": 50, "9": 50}}),
            ("PUT", "traffic", {"arms": {"1": 150, "2": -50}}),
            ("DELETE", "traffic", None),
            ("POST", "promote", {"version": rng.choice(VERSIONS)}),
            ("POST", "rollback", None),
            ("POST", "pin", None),
            ("POST", "unpin", None),
        ]
    )


def kill_control(gateway: Gateway) -> None:
    """Kill control wherever it is; the supervisor starts another one."""
    beat = read_beat(gateway.layout.control_beat)
    if beat is not None:
        with suppress(ProcessLookupError):
            os.kill(beat.pid, signal.SIGKILL)


def kill_worker(gateway: Gateway, slot: int) -> None:
    """Kill a worker while another one accepts, so that somebody can answer."""
    beats = [read_beat(beat_path(gateway.layout, number)) for number in (0, 1)]
    if all(beat is not None and beat.state is BeatState.ACCEPTING for beat in beats):
        victim = beats[slot]
        assert victim is not None
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)


def committed(directory: Path) -> int:
    """How many generations there are; each follows the one before, and splits all traffic or none."""
    store = GenerationStore(directory)
    newest = store.verify_chain()
    for number in range(1, newest + 1):
        for model in store.read(number).models.values():
            assert sum(arm.weight_ppm for arm in model.split.arms) in (0, TOTAL_PPM)
    return newest


@pytest.mark.slow
def test_kills_between_any_steps_of_changes(
    start_gateway: Start, publish_version: Publish, registry_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After hundreds of random changes: 0 failed predictions, only committed generations, a whole chain."""
    for version in VERSIONS:
        publish_version("m", version=version, scale=float(version))
    (registry_root / "m" / "model.toml").write_text("[versions]\nall = true\n")
    gateway = start_gateway(workers=2)
    rng = random.Random(4)
    answers: Counter[str] = Counter()
    deadline, seen = time.monotonic() + WITHIN_S, Seen()
    with asking(4, partial(seen.ask, gateway.ports.data), seen.stopping):
        for _ in range(CHANGES):
            method, verb, body = random_change(rng)
            url = f"{gateway.ports.admin}/api/models/m/{verb}?wait=0"
            # The kill comes while the change is on its way.
            if rng.random() < KILL_CONTROL:
                threading.Timer(rng.random() * CHANGE_S, kill_control, [gateway]).start()
            if rng.random() < KILL_WORKER:
                threading.Timer(rng.random() * CHANGE_S, kill_worker, [gateway, rng.randrange(2)]).start()
            with suppress(httpx.TransportError):
                answer = gateway.client.request(method, url, json=body, headers=ANY)
                answers[str(answer.status_code)] += 1
                assert answer.status_code in EXPECTED, answer.text
            if time.monotonic() > deadline:
                break
        until(lambda: gateway.admin("GET", "/health").status_code == 200, 10, "control answers")
        until(gateway.ready, 10, "the workers are back")
    newest = committed(gateway.layout.desired)
    with capsys.disabled():
        print(f"\n{dict(answers)}, {newest} generations, {seen.answered} predictions")
    assert seen.failed == []
    assert max(seen.generations) <= newest
    assert answers["200"] > 20
