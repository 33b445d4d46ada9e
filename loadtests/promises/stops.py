"""R11: SIGTERM drains."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import uvloop

from loadtests.ask import status_of
from loadtests.gateway import Gateway, Setup, running, wait_traffic, workplace
from loadtests.promises.ground import MODEL, Flow, publish_signed, signed_target, traffic
from loadtests.promises.verdict import Verdict, at_most, none_of
from loadtests.wire import Address

STOPS = 100
STUCK_EVERY = 5
CLIENTS = 32
RATE = 1000.0
BEFORE_S = 0.5
DRAIN_S = 1.0
GRACE_S = 4.0
LOOK_S = 0.005


@dataclass(frozen=True)
class Stop:
    """What one SIGTERM came to; failures are of what was sent before readiness went red + DRAIN_S."""

    offered: int
    failed: int
    exit_code: int
    took_s: float


def drains(scale: float) -> list[Verdict]:
    """R11: stop a gateway again and again under clients, sometimes with one that never ends its request."""
    count = max(5, round(STOPS * scale))
    setup = Setup(environment={"DRIFTGATE__TIMING__GRACE_S": str(GRACE_S)})
    with workplace() as root:
        publish_signed(root, 1)
        stops = []
        for number in range(count):
            with running(root, setup) as gateway:
                wait_traffic(gateway, MODEL)
                stops.append(uvloop.run(_stop(gateway, stuck=number % STUCK_EVERY == 0)))
    codes = [stop.exit_code for stop in stops if stop.exit_code]
    sent = sum(stop.offered for stop in stops)
    return [
        none_of(
            f"failures of what was sent before readiness went red + {DRAIN_S:g} s, {count} stops: 0",
            sum(stop.failed for stop in stops),
            sent,
        ),
        none_of("exit codes other than 0", codes, count),
        at_most(
            f"SIGTERM to the end, a stuck client in every {STUCK_EVERY}th; drain + grace",
            max(stop.took_s for stop in stops),
            DRAIN_S + GRACE_S + 1,
            "s",
        ),
    ]


async def _stop(gateway: Gateway, stuck: bool) -> Stop:
    data, metrics = Address.of(gateway.data), Address.of(gateway.metrics)
    with _stuck_client(data) if stuck else contextlib.nullcontext():
        async with traffic(signed_target(), data, RATE, CLIENTS) as flow:
            await asyncio.sleep(BEFORE_S)
            gateway.process.terminate()
            ended = asyncio.create_task(asyncio.to_thread(_wait, gateway))
            promised_s = await _last_ready_s(flow, metrics) + DRAIN_S
            await asyncio.sleep(DRAIN_S)
        code, took_s = await ended
    failed = sum(due_ms < promised_s * 1e3 for due_ms in flow.run.tally.failed_ms)
    return Stop(flow.run.offered, failed, code, took_s)


async def _last_ready_s(flow: Flow, metrics: Address) -> float:
    """Wait until readiness is red; return when it was asked for the last time that it was green."""
    asked_s = [flow.loop.now_s]
    while await status_of(metrics, "/health/ready") == 200:
        await asyncio.sleep(LOOK_S)
        asked_s.append(flow.loop.now_s)
    return asked_s[-2] if len(asked_s) > 1 else asked_s[0]


def _wait(gateway: Gateway) -> tuple[int, float]:
    began = time.monotonic()
    return gateway.wait(), time.monotonic() - began


@contextlib.contextmanager
def _stuck_client(address: Address) -> Iterator[None]:
    """A client that has sent half of its request and says no more."""
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{")
        yield
