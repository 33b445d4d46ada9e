"""A run as a table for people and as a JSON document for programs."""

from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.open_loop import Run
from loadtests.play import Played
from loadtests.scenario import Scenario
from loadtests.tally import Latency

FORMAT = 1


def document_of(name: str, played: Played) -> dict[str, Any]:
    """Return everything that was measured, ready for JSON. Latencies in milliseconds, rates per second."""
    run = played.run
    return {
        "format": FORMAT,
        "scenario": name,
        "peak_rate": played.peak.rate if played.peak else None,
        "offered": run.offered,
        "answered": run.tally.answered,
        "failed": run.tally.failed,
        "offered_rate": run.offered_rate,
        "achieved_rate": run.achieved_rate,
        "latency_ms": _latency(run.tally.latency()),
        "targets": {target.name: _latency(run.tally.latency(n)) for n, target in enumerate(run.plan.targets)},
        "errors": dict(run.tally.errors),
        "waited_for_connection": run.waited_for_connection,
        "generator": {
            "late_p99_ms": run.fitness.late_p99_ms,
            "late_longest_ms": run.fitness.late_longest_ms,
            "core_share": run.fitness.core_share,
            "problems": run.fitness.problems,
        },
        "swaps_s": played.swaps_s,
        "slow_clients": vars(played.slow) if played.slow else None,
        "seconds": [vars(second) for second in run.tally.seconds()],
    }


def unexpected(scenario: Scenario, run: Run) -> dict[str, int]:
    """Return the errors that do not belong to the scenario."""
    return {kind: count for kind, count in run.tally.errors.items() if kind not in scenario.allowed}


def print_run(console: Console, name: str, played: Played) -> None:
    """Print one run as a table, then what to know about it."""
    run = played.run
    console.print(_table(name, run))
    if played.peak is not None:
        console.print(f"peak of a closed loop, measured first: {played.peak.rate:,.0f}/s")
        for problem in played.peak.fitness.problems:
            console.print(f"[yellow]while the peak was measured, {problem}[/yellow]")
    console.print(f"offered {run.offered_rate:,.0f}/s, answered {run.achieved_rate:,.0f}/s")
    for kind, count in sorted(run.tally.errors.items()):
        console.print(f"[red]{count:,} requests: {kind}[/red]")
    if played.swaps_s:
        longest = max(played.swaps_s)
        console.print(f"{len(played.swaps_s)} changes of version, the longest took {longest * 1000:.0f} ms")
    if played.slow:
        console.print(
            f"slow clients: {played.slow.closed_by_server} of {played.slow.opened} closed by the server"
        )
    for remark in remarks(run):
        console.print(f"[yellow]{remark}[/yellow]")


def remarks(run: Run) -> tuple[str, ...]:
    """Return what limits how far the figures can be trusted."""
    found = list(run.fitness.problems)
    if run.waited_for_connection > run.offered / 100:
        share = run.waited_for_connection / run.offered
        found.append(
            f"{share:.0%} of the requests waited for one of {run.plan.connections} connections to be free; "
            "that is part of their latency"
        )
    return tuple(found)


def _table(name: str, run: Run) -> Table:
    table = Table(title=name, title_justify="left")
    table.add_column("target")
    for heading in ("answers", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"):
        table.add_column(heading, justify="right")
    for number, target in enumerate(run.plan.targets):
        table.add_row(target.name, *_cells(run.tally.latency(number)))
    if len(run.plan.targets) > 1:
        table.add_row("all", *_cells(run.tally.latency()))
    return table


def _cells(latency: Latency) -> list[str]:
    times = (latency.p50, latency.p90, latency.p99, latency.p999, latency.longest)
    return [f"{latency.count:,}", *(f"{value:.2f}" for value in times)]


def _latency(latency: Latency) -> dict[str, float]:
    return {
        "count": latency.count,
        "p50": latency.p50,
        "p90": latency.p90,
        "p99": latency.p99,
        "p99.9": latency.p999,
        "max": latency.longest,
    }
