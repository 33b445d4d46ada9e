"""CHANGES: random changes of traffic while control and workers are killed: always some committed state."""

import asyncio
import hashlib
import json
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from loadtests.ask import ask
from loadtests.gateway import Gateway, Setup, running, until, wait_traffic, workplace
from loadtests.promises.ground import MODEL, publish_signed, signed_target, traffic
from loadtests.promises.verdict import Verdict, none_of
from loadtests.wire import Address, render

CHANGES = 10_000
VERSIONS = 4
RATE = 300.0
CLIENTS = 16
CONTROL_KILLED = 0.005
WORKER_KILLED = 0.002
LEAST_KILLS = 5
MODULES = {"control": "gateway.admin.process", "worker": "gateway.serving.worker"}
CHANGE_S = 0.02
"""A change takes about so long until it is committed."""
TOTAL_PPM = 1_000_000
ANY = {"If-Match": "*"}

Change = tuple[str, str, dict[str, Any]]


def committed_only(scale: float) -> list[Verdict]:
    """Ask for random changes, some of them wrong, and kill processes at random moments."""
    with workplace() as root:
        publish_signed(root, VERSIONS)
        (root / "registry" / MODEL / "model.toml").write_text("[versions]\nall = true\n")
        with running(root, Setup(workers=2)) as gateway:
            wait_traffic(gateway, MODEL)
            verdicts = uvloop.run(_change_and_kill(gateway, max(100, round(CHANGES * scale))))
            until(lambda: gateway.model(MODEL), 30, "control answers")
            return [*verdicts, _audit(gateway.state / "desired")]


async def _change_and_kill(gateway: Gateway, changes: int) -> list[Verdict]:
    admin, rng, answered = Address.of(gateway.admin), random.Random(1), 0  # noqa: S311 - the same changes each time
    loop, killed = asyncio.get_running_loop(), Counter[str]()
    chance = {
        "control": max(CONTROL_KILLED, LEAST_KILLS / changes),
        "worker": max(WORKER_KILLED, LEAST_KILLS / changes),
    }

    def kill(kind: str) -> None:
        killed[kind] += _kill(kind, gateway)

    async with traffic(signed_target(), Address.of(gateway.data), RATE, CLIENTS) as flow:
        await asyncio.sleep(1.0)
        for _ in range(changes):
            # The kill comes while the change is on its way.
            if rng.random() < chance["control"]:
                loop.call_later(rng.random() * CHANGE_S, kill, "control")
            if rng.random() < chance["worker"] and _both_accept(gateway):
                loop.call_later(rng.random() * CHANGE_S, kill, "worker")
            answered += await _ask_for(admin, random_change(rng))
    errors = flow.run.tally.errors
    other = {kind: count for kind, count in errors.items() if kind != "closed"}
    offered = flow.run.offered
    return [
        none_of(
            f"requests that failed otherwise than with a killed worker, {changes} changes: 0", other, offered
        ),
        Verdict(
            "kills of control and of workers: some of each",
            f"{killed['control']} and {killed['worker']}",
            min(killed["control"], killed["worker"]) > 0,
        ),
        Verdict("changes that control answered", f"{answered} of {changes}", answered > changes // 2),
    ]


def random_change(rng: random.Random) -> Change:
    """Return method, verb and body of something that operators may ask for, sometimes wrongly."""
    edges = [0, *sorted(rng.sample(range(TOTAL_PPM + 1), VERSIONS - 1)), TOTAL_PPM]
    weights = {str(n + 1): edges[n + 1] - edges[n] for n in range(VERSIONS)}
    wrong = {"weights_ppm": {"1": -1, "2": TOTAL_PPM + 1}}
    verbs: list[Change] = [
        ("PUT", "traffic", {"weights_ppm": weights}),
        ("PUT", "traffic", {"weights_ppm": weights}),
        ("PUT", "traffic", wrong),
        ("DELETE", "traffic", {}),
        ("POST", "promote", {"version": rng.randint(1, VERSIONS + 1)}),
        ("POST", "rollback", {}),
        ("POST", "pin", {}),
        ("POST", "unpin", {}),
    ]
    return rng.choice(verbs)


async def _ask_for(admin: Address, change: Change) -> bool:
    """Ask for a change and return whether anybody answered; control may just be dead."""
    method, verb, body = change
    path = f"/api/models/{MODEL}/{verb}?wait=0"
    with suppress(OSError, TimeoutError):
        await ask(admin, render(method, path, json.dumps(body).encode(), ANY), 5.0)
        return True
    await asyncio.sleep(0.05)
    return False


def _both_accept(gateway: Gateway) -> bool:
    return len(_processes("worker", gateway)) > 1


def _kill(kind: str, gateway: Gateway) -> int:
    """Kill one process of this kind, if one runs, and return how many were killed."""
    for pid in _processes(kind, gateway)[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return 1
    return 0


def _processes(kind: str, gateway: Gateway) -> list[int]:
    parent = gateway.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if f"{MODULES[kind]}\0".encode() in _command(pid)]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _audit(directory: Path) -> Verdict:
    """Check that each generation names the hash of the one before, and splits all of the traffic."""
    files = sorted(directory.glob("*.json"), key=lambda path: int(path.stem))
    wrong, previous = [], ""
    for number, path in enumerate(files, 1):
        data = path.read_bytes()
        state = json.loads(data)
        arms = state["models"].get(MODEL, {}).get("split", {}).get("arms", [])
        whole = not arms or sum(arm["weight_ppm"] for arm in arms) == TOTAL_PPM
        if (state["generation"], state["previous"], whole) != (number, previous, True):
            wrong.append(number)
        previous = hashlib.sha256(data).hexdigest()
    return none_of("generations that do not follow the one before: 0", wrong, len(files))
