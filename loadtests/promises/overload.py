"""R12: overload degrades, never collapses."""

import os

import uvloop

from loadtests.arrivals import Arrivals, Point
from loadtests.bodies import json_question, random_rows
from loadtests.closed_loop import ClosedLoop, Peak
from loadtests.gateway import Gateway, Setup, publish, running, wait_traffic, workplace
from loadtests.open_loop import OpenLoop, Plan, Run
from loadtests.promises.verdict import Verdict, at_least, at_most, none_of
from loadtests.target import Target
from loadtests.wire import Address
from loadtests.zoo import width_of

MODEL = "heavy"
ROWS = 2
"""Of about a millisecond each."""

PEAK_CONNECTIONS = 16
PEAK_S = 4.0
CONNECTIONS = 512
OVERLOAD_S = 60.0
LEAST_OVERLOAD_S = 4.0
AFTER_S = 4.0
SLO_MS = 100.0
RECOVERED_S = 2.0
GOALS = {2: 0.9, 5: 0.75, 10: 0.5}
REFUSED = "status 503"


def degrades(scale: float) -> list[Verdict]:
    """R12: send a multiple of the peak for a while, then half of it; count answers within the SLO."""
    seconds = max(LEAST_OVERLOAD_S, OVERLOAD_S * scale)
    with workplace() as root:
        publish(root, MODEL, MODEL, 1)
        with running(root, Setup(workers=1)) as gateway:
            wait_traffic(gateway, MODEL)
            return [
                verdict for factor in GOALS for verdict in uvloop.run(_overload(gateway, factor, seconds))
            ]


async def _overload(gateway: Gateway, factor: int, seconds: float) -> list[Verdict]:
    target = Target(MODEL, (json_question(MODEL, random_rows(width_of(MODEL), ROWS)),))
    address = Address.of(gateway.data)
    worker = gateway.slots()[0]["pid"]
    began_s = _cpu_seconds(worker)
    peak = await ClosedLoop(target, address, PEAK_CONNECTIONS).run(PEAK_S)
    request_s = (_cpu_seconds(worker) - began_s) / max(peak.answered, 1)
    arrivals = Arrivals(
        (
            Point(0, factor * peak.rate),
            Point(seconds, factor * peak.rate),
            Point(seconds, peak.rate / 2),
            Point(seconds + AFTER_S, peak.rate / 2),
        )
    )
    began_s = _cpu_seconds(worker)
    run = await OpenLoop(Plan((target,), arrivals, CONNECTIONS), address).run()
    refused = run.tally.errors[REFUSED]
    spent_s = _cpu_seconds(worker) - began_s - run.tally.answered * request_s
    bound = 1 - factor * max(0.0, spent_s / max(refused, 1)) / request_s
    return _verdicts(factor, peak, run, seconds, bound)


def _verdicts(factor: int, peak: Peak, run: Run, seconds: float, bound: float) -> list[Verdict]:
    tally = run.tally
    share = tally.answered_within(SLO_MS, 0.0, seconds) / seconds / peak.rate
    other = {kind: count for kind, count in tally.errors.items() if kind != REFUSED}
    goodput = at_least(
        f"{factor} x peak ({peak.rate:,.0f}/s): answers within the SLO, of peak", share, GOALS[factor]
    )
    remark = f"{goodput.figure}; {bound:.2f} if refusing took all it took from answering"
    if run.fitness.problems:
        remark += f"; {run.fitness.problems[0]}"
    return [
        Verdict(goodput.promise, remark, goodput.kept),
        at_most(
            f"{factor} x peak: p99 of what is accepted", tally.latency(0, 0.0, seconds).p99, SLO_MS, "ms"
        ),
        at_most(f"{factor} x peak: recovery", max(0.0, tally.last_bad_s(SLO_MS) - seconds), RECOVERED_S, "s"),
        none_of(f"{factor} x peak: requests neither answered nor refused: 0", other, run.offered),
    ]


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
