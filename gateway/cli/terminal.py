"""How commands write to a terminal: tables, and texts that cannot steer it."""

import sys

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200


def table(*headers: str) -> Table:
    """Return an empty table with these columns."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        made.add_column(header, overflow="fold")
    return made


def console() -> Console:
    """Return a console that takes no text for markup, and does not fold what goes to a pipe."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def plain(text: str) -> str:
    """Return a text without what could steer the terminal, as others may have written it."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
