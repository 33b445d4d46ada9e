"""The commands of the load tests."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loadtests.gateway import Failed
from loadtests.picture import draw
from loadtests.play import Played, Servers, play, play_against
from loadtests.report import document_of, print_run, unexpected
from loadtests.scenario import InvalidScenario, Scenario, load_scenario, names
from loadtests.wire import Address

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)
console = Console()

Scale = Annotated[float, typer.Option(min=0.001, max=10, help="Fraction of the full length.")]


@app.command("list")
def list_all() -> None:
    """Show what can be run."""
    table = Table(title="scenarios: python -m loadtests run NAME", title_justify="left", show_header=False)
    for name in names():
        table.add_row(name, load_scenario(name).description)
    console.print(table)


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


def _play(scenario: Scenario, url: str | None, admin_url: str | None, scale: float) -> Played:
    if url is None:
        return play(scenario, scale)
    if scenario.swap and admin_url is None:
        raise ValueError("this scenario swaps versions: give --admin-url too")
    servers = Servers(Address.of(url), Address.of(admin_url) if admin_url else None)
    return play_against(scenario, servers, scale)
