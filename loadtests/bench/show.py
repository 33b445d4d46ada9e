"""What the bench found, as tables for people and a file for later."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtests.bench.load import client_name
from loadtests.bench.machine import describe
from loadtests.bench.measure import Cell, Finding, Measurement, medians, ratio

FORMAT = 1
RESULTS = Path(__file__).parents[1] / "results"


def print_measurements(console: Console, measurements: Sequence[Measurement]) -> None:
    """Print the medians of every cell and their ratio to the floor with JSON at the same concurrency."""
    machine = describe()
    title = f"{machine['cpu']}, {machine['cores']} cores; load from {client_name()}; medians"
    table = Table(title=title, title_justify="left")
    for heading in ("server", "model", "sent as"):
        table.add_column(heading, no_wrap=True)
    for heading in ("connections", "requests/s", "p50 ms", "p99 ms", "CPU µs", "to floor"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell, middle in medians(measurements).items():
        floor = Cell("floor", cell.model, "json", cell.connections)
        of_floor = ratio(measurements, cell, floor, "rate")
        table.add_row(
            *(cell.server, cell.model, cell.encoding, str(cell.connections)),
            *(f"{middle.rate:,.0f}", f"{middle.p50_ms:.2f}", f"{middle.p99_ms:.2f}"),
            f"{middle.cpu_us:.0f}" if middle.cpu_us else "",
            f"{of_floor:.2f}" if of_floor is not None else "",
        )
    console.print(table)


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print which goals are met and which are not."""
    for finding in findings:
        mark = "[green]met[/green]   " if finding.met else "[red]MISSED[/red]"
        console.print(f"  {mark} {finding.goal} {finding.bound}: [bold]{finding.figure}[/bold]")
    missed = [finding.goal for finding in findings if not finding.met]
    if missed:
        console.print(f"[red]{len(missed)} of {len(findings)} goals missed: {'; '.join(missed)}[/red]")
    else:
        console.print(f"[green]all {len(findings)} goals met[/green]")


def write_results(measurements: Sequence[Measurement], findings: Sequence[Finding]) -> Path:
    """Write everything into a new file of the results directory and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json"
    document = {
        "format": FORMAT,
        "machine": describe(),
        "client": client_name(),
        "measurements": [asdict(one) | {"cell": one.cell._asdict()} for one in measurements],
        "goals": [asdict(finding) for finding in findings],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
