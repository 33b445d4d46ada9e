"""`driftgate traffic shadow`, `unshadow`, `compare`: try a version on real rows while nobody waits for it."""

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, Server
from driftgate.gateway.cli.changing import PATIENCE_S, Call, DryRun, Json, Manner, Name, Patience, change
from driftgate.gateway.cli.log_reading import Since, State, log_places, read_log, time_us
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.monitoring.archive.record_filter import RecordFilter
from driftgate.monitoring.book.log_query import records_of_version
from driftgate.monitoring.log.compare import Comparison, DifferingRow, VersionRecords, compare

ANSWERED = 200
PIPE_WIDTH = 200


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to `driftgate traffic`."""
    app.command("shadow")(shadow)
    app.command("unshadow")(unshadow)
    app.command("compare")(compare_versions)


def shadow(  # noqa: PLR0913 - each is one option of the command
    name: Name,
    version: Annotated[int, typer.Argument(min=1, metavar="VERSION", help="Version to get the copies.")],
    share: Annotated[str, typer.Option(help="Share of the calls to copy, such as 10%.")] = "100%",
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Give a version a copy of the model's rows after they are answered, and record what it makes of them.

    Example: driftgate traffic shadow fraud 2 --share 10%
    """
    body = {"version": version, "percent": _percent(share)}
    change(Call("PUT", name, "shadow", body), Manner(server, timeout, dry_run, json))


def unshadow(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, metavar="VERSION", help="Version that got copies.")],
    server: Server = DEFAULT_SERVER,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Give a version no more copies.

    Example: driftgate traffic unshadow fraud 2
    """
    body = {"version": version, "percent": 0}
    change(Call("PUT", name, "shadow", body), Manner(server, dry_run=dry_run, json=json))


def compare_versions(  # noqa: PLR0913 - each is one option of the command
    name: Name,
    a: Annotated[int, typer.Argument(min=1, metavar="A", help="One version.")],
    b: Annotated[int, typer.Argument(min=1, metavar="B", help="The other version.")],
    since: Since = "24h",
    worst: Annotated[int, typer.Option(min=0, max=1000, help="Show so many rows that differ most.")] = 0,
    json: Json = False,
    state: State = None,
) -> None:
    """Compare what two versions made of the same rows, from the log on this machine.

    Of each pair one version answered and the other was its shadow.

    Example: driftgate traffic compare fraud 1 2 --since 2h --worst 5
    """
    found = compare(_records(name, a, since, state), _records(name, b, since, state), worst)
    if json:
        print_json(found)
    elif found.pairs:
        _print(found, a, b)
    else:
        text = (
            f"no rows of {name} that both versions computed; `driftgate traffic shadow {name} {b}` makes some"
        )
        raise Refused(text, Exit.NOT_FOUND)


def _percent(share: str) -> float:
    try:
        percent = float(share.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 < percent <= 100:
        raise typer.BadParameter(f"{share!r} is no share; write a number up to 100 with a percent sign: 10%")
    return percent


def _records(name: str, version: int, since: str | None, state: str | None) -> VersionRecords:
    wanted = RecordFilter(name, version, code=ANSWERED, since_us=time_us(since))
    found = read_log(lambda: records_of_version(log_places(state), wanted))
    if found is None:
        raise Refused(f"no records of version {version} of {name} since {since}", Exit.NOT_FOUND)
    return found


def _print(found: Comparison, a: int, b: int) -> None:
    console = Console(markup=False, highlight=False, emoji=False, width=_width())
    share = "" if found.flips is None else f", {found.flips} decided differently"
    console.print(f"{found.pairs} rows computed by both{share}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("", "ROLE", "DIFFERING", "P50", "P90", "P99", "MAX"):
        table.add_column(header)
    for output in found.outputs:
        numbers = [f"{value:.4g}" for value in output.quantiles.values()] or [""] * 4
        table.add_row(_plain(f"|Δ {output.name}|"), output.role, str(output.differing), *numbers)
    for version, times in ((a, found.infer_ms_a), (b, found.infer_ms_b)):
        table.add_row(f"ms, version {version}", "", "", *(f"{value:.3g}" for value in times.values()))
    console.print(table)
    for row in found.worst:
        console.print(_plain(_row_text(row, a, b)))


def _row_text(row: DifferingRow, a: int, b: int) -> str:
    inputs, one, other = (
        " ".join(f"{name}={_short(value)}" for name, value in values.items())
        for values in (row.inputs, row.a, row.b)
    )
    return f"{row.prediction_id} row {row.row}: {inputs} | {a}: {one} | {b}: {other}"


def _short(value: object) -> str:
    """Return a value as people read it: FP32 has no more than seven digits that mean something."""
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _width() -> int | None:
    return None if os.isatty(1) else PIPE_WIDTH


def _plain(text: str) -> str:
    """Escape what could steer the terminal: inputs came from clients."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
