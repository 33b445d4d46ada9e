"""R1 and R2: a swap is invisible, and all workers switch together."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle

import uvloop

from loadtests.ask import Line, document, promote
from loadtests.bodies import is_signed, signed_questions, version_of
from loadtests.gateway import Gateway, Setup
from loadtests.promises.ground import MODEL, errors_of, half_of_peak, prepared, signed_target, traffic
from loadtests.promises.verdict import Verdict, at_least, at_most, none_of
from loadtests.target import Question, Target
from loadtests.wire import Address, Answer

SWAPS = 1000
REQUESTS = 100_000
VERSIONS = 5
STEADY_S = 20.0
PACE_S = 1.0
"""From the begin of one swap to the next: each loads and proves a version that was not held."""
SWITCHES = 100
SWITCH_MS = 200.0
AFTER_S = 0.3
LINES = 32
STOPS = 5
STOPPED_S = 0.5


def invisible(scale: float) -> list[Verdict]:
    """R1: swap at half of the peak; versions come and go, since only a few are held at a time."""
    with prepared(VERSIONS, Setup(workers=2)) as gateway:
        return uvloop.run(_swap_under_load(gateway, max(10, round(SWAPS * scale)), REQUESTS * scale))


async def _swap_under_load(gateway: Gateway, swaps: int, requests: float) -> list[Verdict]:
    data, admin = Address.of(gateway.data), Address.of(gateway.admin)
    versions = cycle(range(1, VERSIONS + 1))
    async with traffic(signed_target(), data, await half_of_peak(gateway)) as flow:
        await asyncio.sleep(STEADY_S)
        began_s = flow.loop.now_s
        for swap in range(swaps):
            await asyncio.sleep(max(0.0, began_s + swap * PACE_S - flow.loop.now_s))
            await promote(admin, MODEL, next(versions))
        ended_s = flow.loop.now_s
        while flow.loop.tally.answered < requests:  # noqa: ASYNC110 - the hot path sets no event
            await asyncio.sleep(0.1)
    run = flow.run
    calm = run.tally.latency(from_s=1.0, until_s=began_s)
    swapping = run.tally.latency(from_s=began_s, until_s=ended_s)
    ratio = swapping.p99 / calm.p99
    pace = f"{swaps} swaps in {ended_s - began_s:.0f} s"
    return [
        none_of(
            f"failed or wrong requests, {pace} at {run.offered_rate:,.0f}/s: 0", errors_of(run), run.offered
        ),
        at_least("requests", run.offered, requests),
        at_most(f"p99 while swapping ({swapping.p99:.2f} ms) over steady ({calm.p99:.2f} ms)", ratio, 2, ""),
        *(
            Verdict("the generator was fit to measure that", problem, False)
            for problem in run.fitness.problems
        ),
    ]


class LastSeen:
    """When each version answered last, by the clock that files are dated with."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}

    @property
    def versions(self) -> frozenset[int]:
        """Which versions have answered."""
        return frozenset(self._at)

    def at(self, version: int) -> float:
        """Return the time of the last answer, 0 if there was none."""
        return self._at.get(version, 0.0)

    def target(self) -> Target:
        """Return the signed questions, whose answers are noted."""
        return Target(
            MODEL,
            tuple(
                Question(question.request, partial(self._is_right, key))
                for key, question in enumerate(signed_questions(MODEL))
            ),
        )

    def _is_right(self, key: int, answer: Answer) -> bool:
        self._at[version_of(answer)] = time.time()
        return is_signed(key, answer)


def together(scale: float) -> list[Verdict]:
    """R2: time from the commit to the last answer of the old version, over all workers; and paused ones."""
    with prepared(2, Setup(workers=2)) as gateway:
        switches = uvloop.run(_switch(gateway, max(10, round(SWITCHES * scale))))
        stops = [
            uvloop.run(_switch_past_stopped(gateway, turn)) for turn in range(max(2, round(STOPS * scale)))
        ]
    waited = sum(waited for waited, _ in stops)
    old = sum(old for _, old in stops)
    return [
        *switches,
        at_least("requests that a stopped worker had before it", waited, 1),
        none_of("of them, answered with the old version after it went on: 0", old, waited),
    ]


async def _switch(gateway: Gateway, switches: int) -> list[Verdict]:
    seen, admin = LastSeen(), Address.of(gateway.admin)
    took_ms = []
    rate = await half_of_peak(gateway)
    async with traffic(seen.target(), Address.of(gateway.data), rate) as flow:
        for new, old in _turns(switches):
            await asyncio.sleep(AFTER_S)
            generation = await promote(admin, MODEL, new)
            await asyncio.sleep(AFTER_S)
            took_ms.append(1000 * (seen.at(old) - _committed_at(gateway, generation)))
    latest = f"commit to the last old answer, the longest of {switches}"
    return [
        at_most(latest, max(0.0, *took_ms), SWITCH_MS, "ms"),
        none_of("failed or wrong requests meanwhile: 0", errors_of(flow.run), flow.run.offered),
    ]


def _turns(count: int) -> Iterator[tuple[int, int]]:
    """Yield (new, old) versions; the newest published one has the traffic at first."""
    return (((1, 2), (2, 1))[number % 2] for number in range(count))


def _committed_at(gateway: Gateway, generation: int) -> float:
    """Return when a generation was written; what has been seen of it can only be later."""
    return (gateway.state / "desired" / f"{generation}.json").stat().st_mtime


async def _switch_past_stopped(gateway: Gateway, turn: int) -> tuple[int, int]:
    """Switch while one worker is stopped; return how many requests waited for it, and got old answers."""
    data, admin = Address.of(gateway.data), Address.of(gateway.admin)
    question = signed_questions(MODEL)[7]
    lines = [await Line.open(data) for _ in range(LINES)]
    before = version_of([await line.ask(question.request) for line in lines][-1])
    slots = (await document(admin, "/api/state"))["slots"]
    victim = slots[turn % len(slots)]["pid"]
    os.kill(victim, signal.SIGSTOP)
    try:
        await promote(admin, MODEL, 3 - before)
        asked = [asyncio.create_task(line.ask(question.request)) for line in lines]
        await asyncio.wait(asked, timeout=STOPPED_S)
        waiting = [task for task in asked if not task.done()]
    finally:
        os.kill(victim, signal.SIGCONT)
    answers = await asyncio.gather(*waiting)
    await asyncio.gather(*asked)
    for line in lines:
        line.close()
    return len(waiting), sum(version_of(answer) == before for answer in answers)
