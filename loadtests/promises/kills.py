"""R7, R9 and R10: workers that are killed, workers that hang, and the supervisor killed."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import uvloop

from loadtests.ask import document
from loadtests.bodies import json_question
from loadtests.gateway import (
    Failed,
    Gateway,
    Setup,
    publish,
    running,
    start,
    until,
    wait_accepting,
    wait_traffic,
    workplace,
)
from loadtests.promises.ground import MODEL, prepared, publish_signed, signed_target, traffic
from loadtests.promises.verdict import Verdict, at_most, none_of
from loadtests.wire import Address
from loadtests.zoo import ENDLESS

KILLS = 100
KILL_WORKERS = 2
KILL_RATE = 500.0
BETWEEN_S = 1.0
BACK_S = 2.0
CLIENTS = 32

HANGS = 3
HANGS_EVENT = "process_hangs"
SEEN_S = 5.0
REPLACED_S = 7.0
GONE_S = 2.0
ORPHAN_ROUNDS = 10

Slot = dict[str, Any]


def only_in_flight(scale: float) -> list[Verdict]:
    """R7: kill workers in turn under load; only requests on their connections may be lost."""
    with prepared(1, Setup(workers=KILL_WORKERS)) as gateway:
        start_s = _start_seconds(gateway)
        return uvloop.run(_kill_under_load(gateway, max(4, round(KILLS * scale)), start_s))


def _start_seconds(gateway: Gateway) -> float:
    """Return how long a worker takes from its start until it accepts: the warm-up of this machine."""
    before = gateway.slots()[0]
    os.kill(before["pid"], signal.SIGTERM)
    until(lambda: not _runs(before["pid"]), 30, "a worker ends when asked")
    return until(lambda: _is_new(gateway.slots()[0], before), 30, "a worker starts anew")


async def _kill_under_load(gateway: Gateway, kills: int, start_s: float) -> list[Verdict]:
    admin = Address.of(gateway.admin)
    back_s, excess, in_flight = [], 0, 0
    async with traffic(signed_target(), Address.of(gateway.data), KILL_RATE, CLIENTS) as flow:
        await asyncio.sleep(1.0)
        for kill in range(kills):
            victim = (await document(admin, "/api/state"))["slots"][kill % KILL_WORKERS]
            lost = flow.loop.tally.failed
            os.kill(victim["pid"], signal.SIGKILL)
            in_flight += flow.loop.in_flight
            back_s.append(await _replaced_after(admin, victim))
            excess += max(0, flow.loop.tally.failed - lost - CLIENTS)
            await asyncio.sleep(BETWEEN_S)
    errors = flow.run.tally.errors
    other = {kind: count for kind, count in errors.items() if kind != "closed"}
    return [
        none_of(
            "requests that failed in any other way than with their connection: 0", other, flow.run.offered
        ),
        none_of("requests lost beyond one for each connection that was cut: 0", excess, errors["closed"]),
        Verdict(
            "requests lost in all, and how many were in flight at the kills",
            f"{errors['closed']} lost, {in_flight} in flight, {kills} kills",
            True,
        ),
        at_most(
            f"capacity back after warm-up ({start_s:.2f} s), the longest of {kills}",
            max(back_s),
            BACK_S + start_s,
            "s",
        ),
    ]


async def _replaced_after(admin: Address, before: Slot) -> float:
    began = time.monotonic()
    while time.monotonic() - began < 30:
        slots = (await document(admin, "/api/state"))["slots"]
        if any(_is_new(slot, before) for slot in slots):
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    raise Failed(f"slot {before['slot']} did not come back within 30 s")


def _is_new(slot: Slot, before: Slot) -> bool:
    same_slot = bool(slot["slot"] == before["slot"])
    return same_slot and bool(slot["boot"] != before["boot"]) and bool(slot.get("accepting"))


def hung_is_replaced(scale: float) -> list[Verdict]:
    """R9: a blocked loop, a stuck inference and SIGSTOP are seen, written down and replaced."""
    ways: dict[str, Callable[[Gateway], AbstractContextManager[object]]] = {
        "blocked loop": lambda gateway: _asked_for_ever(gateway, "blocking"),
        "stuck inference": lambda gateway: _asked_for_ever(gateway, "sticking"),
        "SIGSTOP": _one_stopped,
    }
    with workplace() as root:
        publish_signed(root, 1)
        for kind in ("blocking", "sticking"):
            publish(root, kind, kind, 1)
        with running(root, Setup(workers=2)) as gateway:
            for name in (MODEL, "blocking", "sticking"):
                wait_traffic(gateway, name)
            rounds = max(1, round(HANGS * scale))
            return [
                verdict for way, hang in ways.items() for verdict in _verdicts(gateway, way, hang, rounds)
            ]


def _verdicts(
    gateway: Gateway, way: str, hang: Callable[[Gateway], AbstractContextManager[object]], rounds: int
) -> list[Verdict]:
    hangs = [_hang_once(gateway, way, hang) for _ in range(rounds)]
    return [
        at_most(f"{way}: seen, the longest of {rounds},", max(one.seen_s for one in hangs), SEEN_S, "s"),
        at_most(
            f"{way}: replaced, the longest of {rounds},", max(o.replaced_s for o in hangs), REPLACED_S, "s"
        ),
        none_of(f"{way}: without a dump of its stacks: 0", sum(not one.dumped for one in hangs), rounds),
    ]


class _Hang(NamedTuple):
    seen_s: float
    replaced_s: float
    dumped: bool


def _hang_once(
    gateway: Gateway, way: str, hang: Callable[[Gateway], AbstractContextManager[object]]
) -> _Hang:
    known = len(gateway.log_lines(HANGS_EVENT))
    before = {slot["pid"]: slot for slot in gateway.slots()}
    began = time.monotonic()
    with hang(gateway):
        until(lambda: len(gateway.log_lines(HANGS_EVENT)) > known, 20, f"{way} is seen")
        seen_s = time.monotonic() - began
        victim = before[gateway.log_lines(HANGS_EVENT)[known]["pid"]]
        until(lambda: any(_is_new(slot, victim) for slot in gateway.slots()), 20, f"{way} is replaced")
        return _Hang(seen_s, time.monotonic() - began, _has_stack(gateway, victim))


def _has_stack(gateway: Gateway, slot: Slot) -> bool:
    path = gateway.state / "slots" / str(slot["slot"]) / "stack.txt"
    return path.exists() and f"process {slot['pid']}" in path.read_text(errors="replace")


@contextmanager
def _one_stopped(gateway: Gateway) -> Iterator[None]:
    os.kill(gateway.slots()[0]["pid"], signal.SIGSTOP)
    yield


@contextmanager
def _asked_for_ever(gateway: Gateway, model: str) -> Iterator[None]:
    """Send the row whose computation never ends, and wait for the answer that never comes."""
    address = Address.of(gateway.data)
    rows = np.full((1, 4), ENDLESS, np.float32)
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(json_question(model, rows).request)
        yield


def no_orphans(scale: float) -> list[Verdict]:
    """R10: after SIGKILL of the supervisor nothing runs on; a new one listens on the same port at once."""
    rounds, port, gone_s, bound_s = max(2, round(ORPHAN_ROUNDS * scale)), 0, [], []
    with workplace() as root:
        publish_signed(root, 1)
        for _ in range(rounds):
            began = time.monotonic()
            gateway = start(root, Setup(workers=2, port=port))
            try:
                bound_s.append(time.monotonic() - began)
                wait_accepting(gateway, 2)
                wait_traffic(gateway, MODEL)
                port = gateway.port
                gone_s.append(_kill_whole(gateway))
            finally:
                gateway.close()
    again = max(bound_s[1:])
    return [
        at_most(f"SIGKILL to the last process gone, the longest of {rounds},", max(gone_s), GONE_S, "s"),
        at_most(f"started again until it listens on that port ({bound_s[0]:.2f} s at first)", again, 5, "s"),
    ]


def _kill_whole(gateway: Gateway) -> float:
    children = _children_of(gateway.process.pid)
    if len(children) < 3:
        raise Failed(f"a gateway has at least three processes, this one {len(children)}")
    gateway.process.kill()
    gateway.process.wait()
    return until(lambda: not any(map(_runs, children)), 30, "its processes are gone")


def _children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
