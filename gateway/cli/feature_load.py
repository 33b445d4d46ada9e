"""`driftgate features load`, `export` and `compact`: what works on the store's files on this machine."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from driftgate.features.embedded.compaction import compact
from driftgate.features.filling.export import export_view
from driftgate.features.filling.load import LoadJob, check, load
from driftgate.features.filling.table_rows import FileShape
from driftgate.features.filling.tables import open_table
from driftgate.gateway.cli.feature_places import (
    Json,
    Registry,
    State,
    ViewName,
    feature_places,
    progress_bar,
    telling,
)
from driftgate.gateway.cli.feature_tables import print_load
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import Exit, Refused

Rows = Annotated[Path, typer.Argument(metavar="FILE", help=".parquet or .csv file.", dir_okay=False)]


class TimeUnit(StrEnum):
    """The unit of event times that are numbers."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


def load_file(  # noqa: PLR0913 - each is one option of the command
    view: ViewName,
    file: Rows,
    event_time: Annotated[str, typer.Option(help="Column of the event time.")] = "event_time",
    event_time_unit: Annotated[TimeUnit | None, typer.Option(help="Unit, where it holds numbers.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Keep entities that the file lacks.")] = False,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=100, help="Load nothing if more percent are rejected.")
    ] = 100.0,
    rejected: Annotated[
        Path | None, typer.Option(help="Where rejected rows go. [FILE.rejected.csv]", dir_okay=False)
    ] = None,
    history: Annotated[bool, typer.Option(help="Keep the rows for training sets.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken.")] = False,
    state: State = None,
    registry: Registry = None,
    json: Json = False,
) -> None:
    """Load a file into a new snapshot of a view, and swap it in when it is whole.

    Rows that do not fit are left out and listed with their reason. After an interruption the same command
    goes on where it was.

    Example: driftgate features load users users.parquet --max-rejected 1
    """
    places = feature_places(state, registry)
    with telling(), uncollected(), progress_bar(f"loading {file.name}") as shown:
        job = LoadJob(
            file=open_table(file),
            view=places.view(view),
            store=places.store,
            rejected=rejected or file.with_name(f"{file.name}.rejected.csv"),
            shape=FileShape(event_time, event_time_unit),
            onto_current=update,
            history=history,
            max_rejected=max_rejected / 100,
        )
        now_us = time.time_ns() // 1000
        report = check(job, shown, now_us) if dry_run else load(job, shown, now_us)
    print_json(report) if json else print_load(report)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from running inside.

    Rows are no cycles, and looking for some among so many takes as long as loading them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def export_file(
    view: ViewName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet file to write.", dir_okay=False)],
    state: State = None,
    registry: Registry = None,
    json: Json = False,
) -> None:
    """Write what the store holds of a view, pushes included, to one Parquet file.

    Example: driftgate features export users users.parquet
    """
    if file.suffix != ".parquet" or not file.parent.is_dir():
        raise Refused(f"{file}: name a .parquet file in a directory that is there", Exit.FAILED)
    places = feature_places(state, registry)
    with telling():
        rows = export_view(places.store, places.view(view), file)
    if json:
        print_json({"view": view, "file": str(file), "entities": rows})
    else:
        typer.echo(f"{rows} entities of {view} in {file}")


def compact_view(view: ViewName, state: State = None, registry: Registry = None, json: Json = False) -> None:
    """Make a snapshot of what is stored of a view now, pushes included, and swap it in.

    Example: driftgate features compact users
    """
    places = feature_places(state, registry)
    with telling(), uncollected():
        info = compact(places.store, places.view(view))
    if info is None:
        raise Refused(f"nothing was ever pushed to the view {view}", Exit.CONFLICT)
    if json:
        print_json(info)
    else:
        typer.echo(f"{view}: snapshot {info.number} with {info.rows} entities")
