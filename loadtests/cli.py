"""The commands of the load tests."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loadtests.bench.features import MODEL as FEATURES_MODEL
from loadtests.bench.features import run_features
from loadtests.bench.monitor import run_monitor
from loadtests.bench.run import FULL, QUICK, run_bench
from loadtests.gateway import Failed
from loadtests.picture import draw
from loadtests.play import Played, Servers, play, play_against
from loadtests.promises.book import PROOFS
from loadtests.promises.verdict import Verdict
from loadtests.report import document_of, print_run, unexpected
from loadtests.scenario import InvalidScenario, Scenario, load_scenario, names
from loadtests.wire import Address

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)
console = Console(width=None if sys.stdout.isatty() else 120)

MONITOR = "monitor"
"""The part of the bench about what watching costs."""
Scale = Annotated[float, typer.Option(min=0.001, max=10, help="Fraction of the full length.")]


@app.command("list")
def list_all() -> None:
    """Show what can be run."""
    table = Table(title="scenarios: python -m loadtests run NAME", title_justify="left", show_header=False)
    proofs = Table(title="promises: python -m loadtests prove NAME", title_justify="left", show_header=False)
    for name in names():
        table.add_row(name, load_scenario(name).description)
    for name, proof in PROOFS.items():
        proofs.add_row(name, proof.promise)
    console.print(table)
    console.print(proofs)


@app.command()
def run(  # noqa: PLR0913 - each is one option of the command
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Name, or path of a .toml file.")],
    url: Annotated[
        str | None, typer.Option(help="A server that runs already and serves the scenario's models.")
    ] = None,
    admin_url: Annotated[str | None, typer.Option(help="Its admin API, where versions are swapped.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything measured here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw latencies into this SVG file.")] = None,
    scale: Scale = 1.0,
) -> None:
    """Play a scenario. Exit code 1 if anything failed that does not belong to it."""
    try:
        wanted = load_scenario(scenario)
        played = _play(wanted, url, admin_url, scale)
    except (InvalidScenario, Failed, ValueError, OSError) as error:
        typer.echo(f"loadtests: {error}", err=True)
        sys.exit(2)
    print_run(console, scenario, played)
    if json_file:
        json_file.write_text(json.dumps(document_of(scenario, played), indent=2) + "\n")
    if picture:
        picture.write_text(draw(scenario, played.run))
    sys.exit(1 if unexpected(wanted, played.run) else 0)


@app.command()
def prove(
    promises: Annotated[list[str], typer.Argument(metavar="R1 R2 ...", help="Names of promises, or all.")],
    scale: Scale = 1.0,
) -> None:
    """Show that promises are kept, at full size unless scaled down. Exit code 1 if one is broken."""
    wanted = list(PROOFS) if promises == ["all"] else [name.upper() for name in promises]
    unknown = [name for name in wanted if name not in PROOFS]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: take some of {', '.join(PROOFS)}, or all")
    broken = [name for name in wanted if not _prove(name, scale)]
    if broken:
        console.print(f"[red]not kept: {', '.join(broken)}[/red]")
    sys.exit(1 if broken else 0)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A second for each figure.")] = False,
    model: Annotated[str | None, typer.Option(help="Only tiny, trees, wide, features, or monitor.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds. [5, quick 3]")] = None,
) -> None:
    """Compare ours with a bare application and a usual one. Exit code 1 if a goal is missed."""
    pace = QUICK if quick else FULL
    pace = pace if rounds is None else replace(pace, rounds=rounds)
    try:
        met = model in (FEATURES_MODEL, MONITOR) or run_bench(console, pace, model)
        if model in (None, MONITOR):
            met = run_monitor(console, pace) and met
        if model in (None, FEATURES_MODEL):
            met = run_features(console, pace) and met
    except Failed as error:
        typer.echo(f"loadtests: {error}", err=True)
        sys.exit(2)
    sys.exit(0 if met else 1)


def _prove(name: str, scale: float) -> bool:
    console.print(f"[bold]{name}[/bold] {PROOFS[name].promise}")
    try:
        verdicts = PROOFS[name].prove(scale)
    except Failed as error:
        verdicts = [Verdict("it could be shown", str(error), False)]
    for verdict in verdicts:
        mark = "[green]kept[/green]  " if verdict.kept else "[red]BROKEN[/red]"
        console.print(f"  {mark} {verdict.promise}: [bold]{verdict.figure}[/bold]")
    return all(verdict.kept for verdict in verdicts)


def _play(scenario: Scenario, url: str | None, admin_url: str | None, scale: float) -> Played:
    if url is None:
        return play(scenario, scale)
    if scenario.swap and admin_url is None:
        raise ValueError("this scenario swaps versions: give --admin-url too")
    servers = Servers(Address.of(url), Address.of(admin_url) if admin_url else None)
    return play_against(scenario, servers, scale)
