"""`driftgate log`: find, show and export recorded predictions, from the files on this machine."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from driftgate.gateway.cli.admin_client import EXIT_CODES, Exit, Refused, leave
from driftgate.gateway.cli.log_output import (
    print_prediction,
    print_records,
    print_records_csv,
    print_records_json,
)
from driftgate.gateway.cli.log_times import parse_time_us
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import load_settings
from driftgate.gateway.slots import slot_numbers
from driftgate.monitoring.log_frames import NewerFormat
from driftgate.monitoring.log_query import Places, RecordsMoved, export_records, find_records, records_of
from driftgate.monitoring.log_store import now_us
from driftgate.monitoring.record_filter import RecordFilter, arrival_us

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, epilog=EXIT_CODES)

T = TypeVar("T")

State = Annotated[str | None, typer.Option(help="State directory of the gateway. [state]")]
Since = Annotated[str | None, typer.Option(help="From this time on: 15m, 2h, 7d or 2026-01-31T08:00 (UTC).")]
Until = Annotated[str | None, typer.Option(help="Before this time.")]
Version = Annotated[int | None, typer.Option(min=0, help="Version that answered.")]
Arm = Annotated[str | None, typer.Option(help="Arm of the split, such as stable.")]
Code = Annotated[int | None, typer.Option(min=0, max=599, help="Status code that the client got.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object per line, for programs.")]


@app.callback()
def log() -> None:
    """Find recorded predictions on this machine, show and export them."""


@app.command()
def query(  # noqa: PLR0913 - each is one option of the command
    model: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    since: Since = None,
    until: Until = None,
    version: Version = None,
    arm: Arm = None,
    code: Code = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, the latest.")] = 20,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")] = False,
    state: State = None,
) -> None:
    """Print the latest records, the latest first."""
    if json and csv:
        raise typer.BadParameter("choose one of --json and --csv")
    wanted = RecordFilter(model, version, arm, code, None, _time(since), _time(until))
    records = _read(lambda: find_records(_places(state), wanted, limit))
    if json:
        print_records_json(records)
    elif csv:
        print_records_csv(records)
    elif records:
        print_records(records)
    else:
        typer.echo("No such records. They appear a fraction of a second after the answer.", err=True)


@app.command()
def show(
    prediction_id: Annotated[str, typer.Argument(metavar="PREDICTION_ID", help="As in x-prediction-id.")],
    json: Json = False,
    state: State = None,
) -> None:
    """Print everything that is recorded of one prediction."""
    try:
        arrival_us(prediction_id)
    except ValueError as error:
        example = "019aa2b4-7c3d-7e10-8a51-0c2f6b1d9e77"
        raise typer.BadParameter(
            f"no prediction id; answers carry it in x-prediction-id: {example}"
        ) from error
    records = _read(lambda: records_of(_places(state), prediction_id))
    if not records:
        leave(Refused(f"no record of prediction {prediction_id} on this machine", Exit.NOT_FOUND))
    print_records_json(records) if json else print_prediction(records)


@app.command()
def export(  # noqa: PLR0913 - each is one option of the command
    model: Annotated[str, typer.Option(help="Name of the model.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.", dir_okay=False)],
    since: Since = None,
    until: Until = None,
    version: Version = None,
    arm: Arm = None,
    code: Code = None,
    state: State = None,
) -> None:
    """Write records of a model to one Parquet file."""
    if not out.parent.is_dir():
        leave(Refused(f"{out} cannot be written: there is no directory {out.parent}", Exit.FAILED))
    wanted = RecordFilter(model, version, arm, code, None, _time(since), _time(until))
    try:
        rows = _read(lambda: export_records(_places(state), wanted, out))
    except OSError as error:
        leave(Refused(f"{out} cannot be written: {error.strerror or error}", Exit.FAILED))
    typer.echo(f"{rows} records of {model} in {out}")


def _places(state: str | None) -> Places:
    settings = load_settings(None, os.environ, {"server": {"state": state}})
    layout = StateLayout(Path(settings.server.state).absolute())
    if not layout.slots.is_dir():
        leave(
            Refused(f"{layout.root} is no state directory of a gateway; name it with --state", Exit.NOT_FOUND)
        )
    return Places(
        layout.monitor_db,
        layout.archive,
        lambda: {number: layout.log(number) for number in slot_numbers(layout)},
    )


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except RecordsMoved as error:
        leave(Refused(str(error), Exit.CONFLICT))
    except (NewerFormat, sqlite3.Error) as error:
        leave(Refused(str(error), Exit.FAILED))


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_time_us(text, now_us())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
