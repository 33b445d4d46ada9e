"""The whole bench: prepare, measure in rounds, judge, write down."""

from rich.console import Console

from loadtests.bench.goals import GOALS, cells
from loadtests.bench.machine import split_cores
from loadtests.bench.measure import Cell, Finding, Measurement, judge, medians, without_errors
from loadtests.bench.rounds import Pace, play_rounds, soak
from loadtests.bench.servers import Bench, prepare
from loadtests.bench.show import print_findings, print_measurements, write_results
from loadtests.gateway import workplace

QUICK = Pace(rounds=3, cell_s=1.0, soak_s=20.0)
FULL = Pace(rounds=5, cell_s=5.0, soak_s=300.0)
PEAK = Cell("ours", "tiny", "json", 64)


def run_bench(console: Console, pace: Pace, only: str | None) -> bool:
    """Run the bench and return whether every goal is met; `only` names one model for a closer look."""
    chosen = [cell for cell in cells() if only is None or cell.model == only]
    with workplace() as root, console.status("building models") as status:
        bench = Bench(root, split_cores())
        if bench.cores.server == bench.cores.load:
            console.print("[yellow]there is one core for servers and load: ratios mean little[/yellow]")
        prepare(bench)
        measurements = list(play_rounds(bench, chosen, pace, status.update))
        status.update("half of peak, for long")
        findings = [*_findings(measurements), *_soaked(bench, measurements, pace)]
    print_measurements(console, measurements)
    print_findings(console, findings)
    console.print(f"written to {write_results(measurements, findings)}")
    return all(finding.met for finding in findings)


def _findings(measurements: list[Measurement]) -> list[Finding]:
    return [without_errors(measurements), *(judge(goal, measurements) for goal in GOALS)]


def _soaked(bench: Bench, measurements: list[Measurement], pace: Pace) -> list[Finding]:
    peak = medians(measurements).get(PEAK)
    return soak(bench, peak.rate / 2, pace.soak_s) if peak else []
