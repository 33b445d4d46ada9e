"""How commands send versions to a gateway: the token, the progress shown, and the exit codes."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from driftgate.gateway.cli.admin_client import Exit, Refused, leave
from driftgate.models.errors import ModelError, ServerRefused, ServerUnreachable
from driftgate.models.remote import Server

TOKEN = "DRIFTGATE_TOKEN"  # noqa: S105 - the name of a variable, not what is in it
SEND_EXIT_CODES = (
    "Exit codes: 0 it is there, 1 refused or failed, 2 wrong usage, 3 not found, 4 the number holds other "
    "content, 5 no answer from the server, 7 a token is missing or lacks the scope."
)

TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help=f"File that holds the token. [what {TOKEN} holds]")
]

_EXIT_OF: Mapping[int, Exit] = {
    401: Exit.NOT_ALLOWED,
    403: Exit.NOT_ALLOWED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
}


def read_token(token_file: Path | None, variable: str = TOKEN) -> str | None:
    """Return the token in a file, else in the environment; raise BadParameter if there cannot be one."""
    if token_file is None:
        text = os.environ.get(variable, "")
    else:
        try:
            text = token_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise typer.BadParameter(f"{token_file} cannot be read: {reason}") from error
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise typer.BadParameter(f"what {token_file or variable} holds is no token")
    return token or None


@contextmanager
def sending(url: str, token: str | None) -> Iterator[Server]:
    """Yield the server to send to, showing progress on standard error; leave with the right exit code."""
    columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("sending", total=None, visible=False)
            yield Server(
                url,
                token,
                progress=lambda sent, total: bar.update(task, completed=sent, total=total, visible=True),
            )
    except ServerUnreachable as error:
        leave(Refused(str(error), Exit.UNREACHABLE))
    except ServerRefused as error:
        leave(Refused(str(error), _EXIT_OF.get(error.status, Exit.FAILED)))
    except ModelError as error:
        leave(Refused(str(error), Exit.FAILED))
