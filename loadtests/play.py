"""Plays a scenario: starts what it needs, measures the peak where loads refer to it, sends, tells."""

import asyncio
import time
from dataclasses import dataclass, field

import uvloop

from loadtests.ask import promote
from loadtests.bodies import binary_question, json_question, random_rows, signed_questions
from loadtests.closed_loop import ClosedLoop, Peak
from loadtests.gateway import Gateway, Setup, publish, running, wait_traffic, workplace
from loadtests.open_loop import OpenLoop, Plan, Run
from loadtests.scenario import Ask, Scenario, Swap
from loadtests.slow import SlowOutcome, hold_slowly
from loadtests.target import Target
from loadtests.wire import Address
from loadtests.zoo import width_of

PEAK_S = 4.0
PEAK_WARM_UP_S = 1.0
PEAK_CONNECTIONS = 64


@dataclass(frozen=True)
class Servers:
    """Where the data plane answers, and the admin API if it is needed."""

    data: Address
    admin: Address | None = None


@dataclass(frozen=True)
class Played:
    """What came of a scenario. `swaps_s` is how long each change of version took."""

    run: Run
    peak: Peak | None = None
    swaps_s: tuple[float, ...] = ()
    slow: SlowOutcome | None = None


@dataclass
class _Extras:
    swaps_s: list[float] = field(default_factory=list)
    slow: SlowOutcome | None = None


def play(scenario: Scenario, scale: float = 1.0) -> Played:
    """Play a scenario against a gateway of its own; raise Failed if that cannot be set up."""
    with workplace() as root:
        for model in sorted({ask.model for ask in scenario.ask}):
            versions = scenario.swap.versions if scenario.swap and scenario.swap.model == model else 1
            for version in range(1, versions + 1):
                publish(root, model, model, version)
        with running(root, Setup(workers=scenario.workers)) as gateway:
            wait_served(gateway, scenario)
            return play_against(scenario, servers_of(gateway), scale)


def wait_served(gateway: Gateway, scenario: Scenario) -> None:
    """Wait until every model that is asked has traffic."""
    for ask in scenario.ask:
        wait_traffic(gateway, ask.model)


def servers_of(gateway: Gateway) -> Servers:
    """Return where a gateway answers."""
    return Servers(Address.of(gateway.data), Address.of(gateway.admin))


def play_against(scenario: Scenario, servers: Servers, scale: float = 1.0) -> Played:
    """Play a scenario against servers that run already and serve its models under their names in the zoo."""
    return uvloop.run(_play(scenario, servers, scale))


def targets_of(asks: tuple[Ask, ...]) -> tuple[Target, ...]:
    """Return what a scenario asks."""
    return tuple(_target(ask) for ask in asks)


async def _play(scenario: Scenario, servers: Servers, scale: float) -> Played:
    targets = targets_of(scenario.ask)
    peak = await measure_peak(targets, servers.data) if scenario.needs_peak else None
    plan = Plan(
        targets,
        scenario.arrivals(peak.rate if peak else 0.0, scale),
        scenario.connections,
        scenario.timeout_s,
    )
    extras, ended = _Extras(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        if scenario.swap and servers.admin:
            group.create_task(_keep_swapping(scenario.swap, servers.admin, extras, ended))
        if scenario.slow_clients:
            group.create_task(_keep_slow(scenario, servers.data, extras, ended))
        run = await OpenLoop(plan, servers.data).run()
        ended.set()
    return Played(run, peak, tuple(extras.swaps_s), extras.slow)


async def measure_peak(targets: tuple[Target, ...], address: Address) -> Peak:
    """Return what a closed loop over all targets in turn gets."""
    questions = tuple(question for target in targets for question in target.questions)
    loop = ClosedLoop(Target("peak", questions), address, PEAK_CONNECTIONS)
    return await loop.run(PEAK_S, PEAK_WARM_UP_S)


async def _keep_swapping(swap: Swap, admin: Address, extras: _Extras, ended: asyncio.Event) -> None:
    version = 1
    while not ended.is_set():
        version = version % swap.versions + 1
        began = time.monotonic()
        await promote(admin, swap.model, version)
        extras.swaps_s.append(time.monotonic() - began)
        try:
            await asyncio.wait_for(ended.wait(), swap.every_s)
        except TimeoutError:
            continue


async def _keep_slow(scenario: Scenario, data: Address, extras: _Extras, ended: asyncio.Event) -> None:
    if scenario.slow_clients:
        extras.slow = await hold_slowly(scenario.slow_clients, data, ended)


def _target(ask: Ask) -> Target:
    if ask.encoding == "signed":
        return Target(ask.model, signed_questions(ask.model), ask.weight)
    make = json_question if ask.encoding == "json" else binary_question
    rows = random_rows(width_of(ask.model), ask.rows)
    return Target(f"{ask.model} {ask.encoding}", (make(ask.model, rows),), ask.weight)
