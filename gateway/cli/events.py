"""`driftgate events`: what happened, with who and why, and the proof that nobody altered it."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftgate.gateway.admin.timeline import DEFAULT_SINCE, EventsAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Server
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import EXIT_CODES, Exit
from driftgate.gateway.state.events import Event
from driftgate.gateway.state.timeline import Verdict

PIPE_WIDTH = 300

app = typer.Typer(add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.callback(invoke_without_command=True)
def events(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="An age such as 24h, or a time in ISO 8601.")] = DEFAULT_SINCE,
    model: Annotated[str, typer.Option(help="Only what concerns this model.")] = "",
    json: Json = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show what happened to models, traffic, settings and processes, with who and why.

    Example: driftgate events --since 7d --model fraud
    """
    if context.invoked_subcommand is not None:
        return
    query = urlencode({"since": since, **({"model": model} if model else {})})
    answer = AdminClient(server).get(f"/api/events?{query}", EventsAnswer)
    if json:
        print_json(answer.events)
    else:
        _show(answer)


@app.command()
def verify(json: Json = False, server: Server = DEFAULT_SERVER) -> None:
    """Check every link of the chains; name the first damaged or altered place in each.

    Example: driftgate events verify
    """
    verdict = AdminClient(server).get("/api/events/verify", Verdict)
    if json:
        print_json(verdict)
    else:
        typer.echo(f"{verdict.generations} generations")
        for name, lines in verdict.lines.items():
            typer.echo(f"{lines} lines in the journal of {name}")
        for damage in verdict.damage:
            typer.echo(f"damaged: {damage}", err=True)
    if verdict.damage:
        raise typer.Exit(int(Exit.FAILED))


def _show(answer: EventsAnswer) -> None:
    if answer.more:
        typer.echo("older events are left out; --since with a shorter time shows fewer", err=True)
    if not answer.events:
        typer.echo("Nothing happened in that time.")
        return
    table = Table("TIME", "EVENT", "MODEL", "WHO", "WHY", box=None, pad_edge=False, header_style="")
    for event in answer.events:
        table.add_row(*(Text(text) for text in _cells(event)))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(table)


def _cells(event: Event) -> tuple[str, ...]:
    at = datetime.fromisoformat(event.at).astimezone().isoformat(sep=" ", timespec="seconds")
    subject = f"{event.model}@{event.version}" if event.model and event.version else event.model
    return at, event.kind.replace("_", " "), subject or event.process, event.who, event.why
