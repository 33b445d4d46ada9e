"""How records look: a table for people, JSON and CSV for programs."""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from driftgate.monitoring.log.record import RequestRecord

Record = dict[str, Any]

FIRST = ("time", "prediction_id", "row", "model", "version", "arm", "code")
"""What every record has; the rest of a line is the model's own columns."""
QUIET = frozenset({*FIRST, "arrived", "generation", "slot", "sequence", "boot"}) | frozenset(
    RequestRecord.__struct_fields__
)
PIPE_WIDTH = 200
MOST_VALUES = 6


def print_records_json(records: Sequence[Record]) -> None:
    """Print one JSON object per line."""
    for record in records:
        sys.stdout.write(msgspec.json.encode(record).decode() + "\n")


def print_records_csv(records: Sequence[Record]) -> None:
    """Print CSV with a header that has every column of any record."""
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in record.items()} for record in records)


def print_records(records: Sequence[Record]) -> None:
    """Print a line per record: when, who, and the first values of the model's own columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("TIME", "PREDICTION", "ROW", "MODEL", "VERSION", "ARM", "CODE", "VALUES"):
        table.add_column(header, overflow="fold")
    for record in records:
        table.add_row(*(_plain(_text(record.get(name, ""))) for name in FIRST), _plain(_values(record)))
    _console().print(table)


def print_prediction(records: Sequence[Record]) -> None:
    """Print everything that is known of one prediction, row by row."""
    for record in records:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, value in record.items():
            table.add_row(_plain(name), _plain(_text(value)))
        _console().print(table)
        _console().print()


def _values(record: Record) -> str:
    own = [f"{name}={_text(value)}" for name, value in record.items() if name not in QUIET]
    rest = [f"and {len(own) - MOST_VALUES} more"] if len(own) > MOST_VALUES else []
    return " ".join(own[:MOST_VALUES] + rest)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, list):
        return msgspec.json.encode(value).decode()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """Escape what could steer the terminal: these texts came from clients."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _console() -> Console:
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)
