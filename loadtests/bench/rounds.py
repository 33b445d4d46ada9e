"""The rounds: every cell once in each, so that what changes on the machine touches all servers alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import uvloop

from loadtests.arrivals import steady
from loadtests.bench.goals import BESIDE, HALF
from loadtests.bench.load import measure_load
from loadtests.bench.machine import cpu_seconds, memory_bytes
from loadtests.bench.measure import Cell, Finding, Measurement, slope
from loadtests.bench.servers import Bench, Server, serving
from loadtests.bodies import binary_question, json_question, random_rows
from loadtests.gateway import on_cores
from loadtests.open_loop import OpenLoop, Plan, Run
from loadtests.target import Question, Target
from loadtests.zoo import width_of

SLOW_RATE = 40.0
"""A fifth of the core for a model of 5 ms; with tiny at half of its peak there is still time left."""
CONNECTIONS = 64
LEAK_MIB = 1.0
SOAK_LOOKS = 20
SOAK_WARM_UP_S = 5.0
MIB = 2**20
MILLION = 1e6

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How much is measured."""

    rounds: int
    cell_s: float
    soak_s: float


def play_rounds(bench: Bench, cells: Sequence[Cell], pace: Pace, tell: Tell) -> Iterator[Measurement]:
    """Yield a measurement for every cell in every round."""
    for number in range(1, pace.rounds + 1):
        for (name, model), group in groupby(cells, key=lambda cell: (cell.server, cell.model)):
            tell(f"round {number} of {pace.rounds}: {name}, {model}")
            with serving(bench, name, model) as server:
                for cell in group:
                    yield _measure(bench, server, cell, (number, pace.cell_s))
        tell(f"round {number} of {pace.rounds}: a slow model beside tiny")
        yield from _beside_slow(bench, number, pace)


def soak(bench: Bench, rate: float, seconds: float) -> list[Finding]:
    """Send at a fixed rate for long; return whether anything failed, and what grew in the second half."""
    with serving(bench, "ours", "tiny") as server:
        _open_loop(bench, server, (_target("tiny", 1.0),), rate, SOAK_WARM_UP_S)
        points, answered, errors = [(0.0, memory_bytes(server.pid) / MIB)], 0, 0
        for _ in range(SOAK_LOOKS):
            run = _open_loop(bench, server, (_target("tiny", 1.0),), rate, seconds / SOAK_LOOKS)
            answered += run.tally.answered
            errors += run.tally.failed
            points.append((answered / MILLION, memory_bytes(server.pid) / MIB))
    name = f"half of peak ({rate:,.0f}/s) for {seconds:g} s"
    grown = slope(points[len(points) // 2 :])
    return [
        Finding(f"{name}: errors", "0", f"{errors} of {answered:,}", not errors),
        Finding(
            f"{name}: RSS slope, MiB per million",
            f"≤ {LEAK_MIB:g}",
            f"{grown:.2f}",
            grown <= LEAK_MIB,
        ),
    ]


def _measure(bench: Bench, server: Server, cell: Cell, when: tuple[int, float]) -> Measurement:
    number, seconds = when
    question = question_of(cell).with_token(server.token)
    measure_load((question,), server.address, cell.connections, min(seconds, 1.0), bench.cores.load)
    before = cpu_seconds(server.pid)
    load = measure_load((question,), server.address, cell.connections, seconds, bench.cores.load)
    used_us = (cpu_seconds(server.pid) - before) * 1e6
    per_answer = used_us / max(load.answered, 1)
    return Measurement(cell, number, load.rate, load.p50_ms, load.p99_ms, per_answer, load.errors)


def question_of(cell: Cell) -> Question:
    """Return the request of a cell."""
    make = binary_question if cell.encoding == "binary" else json_question
    return make(cell.model, random_rows(width_of(cell.model)))


def _beside_slow(bench: Bench, number: int, pace: Pace) -> Iterator[Measurement]:
    """Measure tiny at half of its peak in an open loop, alone and beside a slow model in the same worker."""
    with serving(bench, "ours", "tiny") as server:
        alone = Cell("ours", "tiny", "json", CONNECTIONS)
        peak = measure_load((question_of(alone),), server.address, CONNECTIONS, pace.cell_s, bench.cores.load)
        rate = peak.rate / 2
        quiet = _open_loop(bench, server, (_target("tiny", rate),), rate, pace.cell_s)
        yield _of_tiny(f"ours {HALF}", number, quiet)
        both = (_target("tiny", rate), _target("slow", SLOW_RATE))
        mixed = _open_loop(bench, server, both, rate + SLOW_RATE, pace.cell_s)
        yield _of_tiny(f"ours {BESIDE}", number, mixed)


def _of_tiny(server: str, number: int, run: Run) -> Measurement:
    latency = run.tally.latency(target=0)
    cell = Cell(server, "tiny", "json", CONNECTIONS)
    return Measurement(cell, number, run.achieved_rate, latency.p50, latency.p99, 0.0, run.tally.failed)


def _target(model: str, weight: float) -> Target:
    return Target(model, (json_question(model, random_rows(width_of(model))),), weight)


def _open_loop(bench: Bench, server: Server, targets: tuple[Target, ...], rate: float, seconds: float) -> Run:
    plan = Plan(targets, steady(rate, seconds), CONNECTIONS)
    with on_cores(bench.cores.load):
        return uvloop.run(OpenLoop(plan, server.address).run())
