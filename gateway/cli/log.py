"""`driftgate log`: find, show and export recorded predictions, from the files on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.cli.log_output import (
    print_prediction,
    print_records,
    print_records_csv,
    print_records_json,
)
from driftgate.gateway.cli.log_reading import Since, State, log_places, read_log, time_us
from driftgate.gateway.cli.refused import EXIT_CODES, Exit, Refused
from driftgate.monitoring.archive.record_filter import RecordFilter, arrival_us
from driftgate.monitoring.book.log_query import export_records, find_records, records_of

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, epilog=EXIT_CODES)

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
    """Print the latest records, the latest first.

    Example: driftgate log query --model fraud --since 15m --code 400
    """
    if json and csv:
        raise typer.BadParameter("choose one of --json and --csv")
    wanted = RecordFilter(model, version, arm, code, None, time_us(since), time_us(until))
    records = read_log(lambda: find_records(log_places(state), wanted, limit))
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
    """Print everything that is recorded of one prediction.

    Example: driftgate log show 019aa2b4-7c3d-7e10-8a51-0c2f6b1d9e77
    """
    try:
        arrival_us(prediction_id)
    except ValueError as error:
        example = "019aa2b4-7c3d-7e10-8a51-0c2f6b1d9e77"
        raise typer.BadParameter(
            f"no prediction id; answers carry it in x-prediction-id: {example}"
        ) from error
    records = read_log(lambda: records_of(log_places(state), prediction_id))
    if not records:
        raise Refused(f"no record of prediction {prediction_id} on this machine", Exit.NOT_FOUND)
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
    """Write records of a model to one Parquet file.

    Example: driftgate log export --model fraud --since 7d --out fraud.parquet
    """
    if not out.parent.is_dir():
        raise Refused(f"{out} cannot be written: there is no directory {out.parent}", Exit.FAILED)
    wanted = RecordFilter(model, version, arm, code, None, time_us(since), time_us(until))
    try:
        rows = read_log(lambda: export_records(log_places(state), wanted, out))
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror or error}", Exit.FAILED) from error
    typer.echo(f"{rows} records of {model} in {out}")
