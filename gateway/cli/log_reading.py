"""Reading the logs of a gateway from the command line: where they are, and what to say if that fails."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from driftgate.gateway.cli.log_times import parse_time_us
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import load_settings
from driftgate.gateway.state.slots import slot_numbers
from driftgate.monitoring.book.log_query import Places, RecordsMoved
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.log.store import now_us

T = TypeVar("T")

State = Annotated[str | None, typer.Option(help="State directory of the gateway. [state]")]
Since = Annotated[str | None, typer.Option(help="From this time on: 15m, 2h, 7d or 2026-01-31T08:00 (UTC).")]


def log_places(state: str | None) -> Places:
    """Return where the logs of a state directory are; raise Refused if it is none."""
    settings = load_settings(None, os.environ, {"server": {"state": state}})
    layout = StateLayout(Path(settings.server.state).absolute())
    if not layout.slots.is_dir():
        raise Refused(
            f"{layout.root} is no state directory of a gateway; name it with --state", Exit.NOT_FOUND
        )
    return Places(
        layout.monitor_db,
        layout.archive,
        lambda: {number: layout.log(number) for number in slot_numbers(layout)},
    )


def read_log(read: Callable[[], T]) -> T:
    """Return what `read` returns; raise Refused if the logs cannot be read."""
    try:
        return read()
    except RecordsMoved as error:
        raise Refused(str(error), Exit.CONFLICT) from error
    except (NewerFormat, sqlite3.Error) as error:
        raise Refused(str(error), Exit.FAILED) from error


def time_us(text: str | None) -> int | None:
    """Return the time that was typed, in Unix microseconds; raise BadParameter if it is none."""
    if text is None:
        return None
    try:
        return parse_time_us(text, now_us())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
