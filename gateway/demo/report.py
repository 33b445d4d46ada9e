"""The demo's summary on a terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from driftgate.gateway.demo.summary import Summary


def show_summary(console: Console, summary: Summary) -> None:
    """Print what was measured, some predictions in words, and what went wrong, if anything."""
    console.print()
    console.print(
        f"[bold]{summary.requests}[/] requests in {summary.seconds} s, [bold]{summary.errors}[/] errors, "
        f"p50 {summary.p50_ms} ms, p99 {summary.p99_ms} ms"
    )
    console.print(_versions(summary))
    if summary.features:
        counts = ", ".join(f"{count} {status}" for status, count in summary.features.items())
        console.print(f"flight_delay was asked by key; features of plane and weather looked up: {counts}")
    drift = summary.drift
    if drift.found_after_s is not None:
        console.print(
            f"the weather feed turned to degrees Celsius: {drift.found_after_s} s later drift of "
            f"{', '.join(drift.named)} was found; `driftgate drift status flight_delay` tells of it",
            highlight=False,
            soft_wrap=True,
        )
    for sample in summary.samples:
        console.print(f"  {escape(sample)}", highlight=False, soft_wrap=True)
    for problem in summary.problems:
        console.print(f"[bold red]problem[/] {escape(problem)}", highlight=False, soft_wrap=True)


def show_urls(console: Console, urls: Mapping[str, str], curl: str) -> None:
    """Print where to go on, and a call to copy."""
    console.print()
    for what, url in urls.items():
        console.print(f"  {what:<12} {url}", highlight=False, soft_wrap=True)
    console.print("\nTry it:")
    console.print(curl, highlight=False, soft_wrap=True, markup=False)


def _versions(summary: Summary) -> Table:
    table = Table("model", "version", "answers", "AUC (held-out rows)", "off its estimator by")
    for column in table.columns[1:]:
        column.justify = "right"
    for model in summary.models:
        for one in model.versions:
            table.add_row(
                model.name,
                str(one.version),
                str(one.answers),
                f"{one.auc:.3f} ({one.held_out_rows})",
                f"{one.largest_difference:.0e}",
            )
    return table
