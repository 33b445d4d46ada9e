"""`driftgate drift`: whether models drift, who is told, and what windows of traffic are compared with."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftgate.gateway.admin.references import FeatureDocument, ReferenceDocument, ReferencesAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Question, Server, model_path
from driftgate.gateway.cli.changing import PATIENCE_S, Call, DryRun, Json, Manner, change
from driftgate.gateway.cli.drift_feature import show_feature
from driftgate.gateway.cli.drift_subjects import Subject, parsed
from driftgate.gateway.cli.drift_watching import ack, arm, backtest, observe, status
from driftgate.gateway.cli.log_times import parse_time_us
from driftgate.gateway.cli.model_tables import print_json, print_plain
from driftgate.gateway.cli.refused import EXIT_CODES, Exit, Refused
from driftgate.monitoring.log.store import now_us
from driftgate.monitoring.reference.comparison import FeatureChange

MOST_CELLS = 6
PIPE_WIDTH = 200
"""Columns of a table that is not shown on a terminal."""

_HEADINGS = ("feature", "role", "source", "mean", "sd", "largest cells")
_AGAINST = ("feature", "distance", "mean before", "mean", "missing before", "missing")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show whether models drift, let it notify, and renew references.",
)
profile = typer.Typer(no_args_is_help=True, help="What windows are compared with.")
app.add_typer(profile, name="profile")
app.command(epilog=EXIT_CODES)(status)
app.command("show", epilog=EXIT_CODES)(show_feature)
for verb in (arm, observe, ack, backtest):
    app.command(epilog=EXIT_CODES)(verb)


@profile.command("show", epilog=EXIT_CODES)
def show(
    subject: Subject,
    server: Server = DEFAULT_SERVER,
    against: Annotated[
        bool, typer.Option("--against", help="Show how its features differ from those of the one before.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the reference of a version: where it is from, how many rows it has, and its features.

    Example: driftgate drift profile show fraud --against
    """
    name, version = parsed(subject)
    references = _references(name, version, server)
    if json:
        print_json(ReferencesAnswer(name, references))
    else:
        _print(references, against)


@app.command(epilog=EXIT_CODES)
def rebaseline(
    subject: Subject,
    window: Annotated[
        str, typer.Option(help="Traffic to make it of: 7d (up to now), or START..END in ISO 8601, UTC.")
    ],
    server: Server = DEFAULT_SERVER,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make a version's reference of its traffic in a window. The old one is kept: `drift profile show`.

    Drift that is there already becomes normal by this: it is your decision, and stands in `driftgate events`.

    Example: driftgate drift rebaseline fraud@2 --window 7d --dry-run
    """
    name, version = parsed(subject)
    first_us, end_us = _window(window)
    version = version or _references(name, None, server)[-1].version
    body = {"version": version, "first_us": first_us, "end_us": end_us}
    change(Call("POST", name, "references", body), Manner(server, PATIENCE_S, dry_run, json))
    if not json and not dry_run:
        print_plain(f"the monitor makes it now: driftgate drift profile show {name}@{version}")
        print_plain(
            "if it does not appear there, the window has too few answered rows: see the monitor's log"
        )


def _references(name: str, version: int | None, server: str) -> tuple[ReferenceDocument, ...]:
    """Return the references of a version (None: the newest that has any), the one in force last."""
    answer, _ = AdminClient(server).ask(Question("GET", model_path(name, "references")), ReferencesAnswer)
    version = version or max((one.version for one in answer.references), default=0)
    found = tuple(one for one in answer.references if one.version == version)
    if not found:
        raise Refused(f"no rows of {name} have been seen yet, so there is no reference", Exit.NOT_FOUND)
    return found


def _window(text: str) -> tuple[int, int]:
    start, dots, end = text.partition("..")
    now = now_us()
    try:
        return parse_time_us(start, now), parse_time_us(end, now) if dots else now
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--window") from error


def _print(references: tuple[ReferenceDocument, ...], against: bool) -> None:
    console = Console()
    console.width = console.width if console.is_terminal else PIPE_WIDTH
    for one in references:
        console.print(Text(_described(one)))
    newest = references[-1]
    if against and len(references) == 1:
        raise Refused(f"version {newest.version} has had no other reference", Exit.NOT_FOUND)
    rows = map(_changed, newest.changes) if against else map(_row, newest.features)
    table = Table(*(_AGAINST if against else _HEADINGS), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _described(one: ReferenceDocument) -> str:
    since = f"since {_time(one.from_us)}" if one.from_us else "from the beginning"
    if one.source == "none":
        return f"version {one.version}, {since}: no reference, so nothing can be said of drift"
    times = f" of {_time(one.first_us)} to {_time(one.last_us)}"
    rest = times if one.source == "traffic" else f" data{_completed(one, times)}"
    return f"version {one.version}, {since}: {one.rows} rows of {one.source}{rest} ({one.id[:12]})"


def _completed(one: ReferenceDocument, times: str) -> str:
    """Say where that is from which training rows cannot have."""
    if one.last_us:
        return f", with latency and ages of the traffic{times}"
    lacking = any(feature.source == "none" for feature in one.features)
    return "; latency and ages come with a day of traffic, and are not judged before" if lacking else ""


def _row(feature: FeatureDocument) -> tuple[str, ...]:
    total = sum(cell.rows for cell in feature.cells)
    largest = sorted(feature.cells, key=lambda cell: -cell.rows)[:MOST_CELLS]
    shares = ", ".join(f"{cell.name}: {cell.rows / total:.1%}" for cell in largest if cell.rows)
    moments = feature.moments
    numbers = (f"{moments.mean:.4g}", f"{moments.sd:.4g}") if moments.n else ("", "")
    return feature.name, feature.role, feature.source, *numbers, shares


def _changed(change: FeatureChange) -> tuple[str, ...]:
    old, new = change.old_moments, change.moments
    means = (f"{old.mean:.4g}", f"{new.mean:.4g}") if old.n and new.n else ("", "")
    return change.name, f"{change.distance:.3f}", *means, f"{change.old_missing:.2%}", f"{change.missing:.2%}"


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
