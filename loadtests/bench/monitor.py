"""What watching costs: the same server and load without a monitor, and with it on either core.

On a machine of two cores the other one is that of the load.
"""

from collections.abc import Iterator

from rich.console import Console

from loadtests.bench.load import measure_load
from loadtests.bench.machine import cpu_seconds, split_cores
from loadtests.bench.measure import Cell, Goal, Measurement, judge, without_errors
from loadtests.bench.rounds import Pace, question_of
from loadtests.bench.servers import OTHER_CORE, SAME_CORE, UNWATCHED, Bench, Server, prepare, serving
from loadtests.bench.show import print_findings, print_measurements, write_results
from loadtests.gateway import workplace

ARCHIVED_S = 12.0
"""So long is each measurement: every ten seconds the monitor archives, the most that it does at once."""
WARM_UP_S = 1.0
FLOOR, WITHOUT, SAME, OTHER = (
    Cell(server, "tiny", "json", 16) for server in ("floor", UNWATCHED, SAME_CORE, OTHER_CORE)
)
GOALS = (
    Goal("monitor on the other core over none, 16", OTHER, WITHOUT, "rate", at_least=0.98),
    Goal("monitor on the same core over none, 16", SAME, WITHOUT, "rate", at_least=0.93),
    Goal("monitor on the same core over floor, 16", SAME, FLOOR, "rate", at_least=1.0),
)


def run_monitor(console: Console, pace: Pace) -> bool:
    """Measure in rounds and return whether the goals are met."""
    with workplace() as root, console.status("building models") as status:
        bench = Bench(root, split_cores())
        prepare(bench)
        status.update("without a monitor, and with it")
        measurements = list(_rounds(bench, pace))
    findings = [without_errors(measurements), *(judge(goal, measurements) for goal in GOALS)]
    print_measurements(console, measurements)
    print_findings(console, findings)
    console.print(f"written to {write_results(measurements, findings)}")
    return all(finding.met for finding in findings)


def _rounds(bench: Bench, pace: Pace) -> Iterator[Measurement]:
    """Yield a measurement of every cell in every round, in another order in each second one."""
    for number in range(pace.rounds):
        cells = [FLOOR, WITHOUT, SAME, OTHER]
        for cell in cells if number % 2 else reversed(cells):
            with serving(bench, cell.server, cell.model) as server:
                yield _measure(bench, server, cell, number)


def _measure(bench: Bench, server: Server, cell: Cell, number: int) -> Measurement:
    questions = (question_of(cell),)
    measure_load(questions, server.address, cell.connections, WARM_UP_S, bench.cores.load)
    before = cpu_seconds(server.pid)
    load = measure_load(questions, server.address, cell.connections, ARCHIVED_S, bench.cores.load)
    per_answer = (cpu_seconds(server.pid) - before) * 1e6 / max(load.answered, 1)
    return Measurement(cell, number, load.rate, load.p50_ms, load.p99_ms, per_answer, load.errors)
