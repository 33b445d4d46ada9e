"""How commands send versions to a gateway: the token, the progress shown, and the exit codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from driftgate.gateway.cli.access_token import TOKEN_VARIABLE, NoToken, access_token
from driftgate.gateway.cli.refused import Exit, Refused, exit_of
from driftgate.models.errors import ServerRefused, ServerUnreachable
from driftgate.models.remote.client import Server

SEND_EXIT_CODES = (
    "Exit codes: 0 it is there, 1 refused or failed, 2 wrong usage, 3 not found, 4 the number holds other "
    "content, 5 no answer from the server, 7 a token is missing or lacks the scope."
)


def server_with_token(url: str, token_file: Path | None, variable: str = TOKEN_VARIABLE) -> Server:
    """Return the server at `url` with the caller's token for it; raise Refused if that is none."""
    try:
        return Server(url, access_token(token_file, variable))
    except NoToken as error:
        raise Refused(str(error), Exit.NOT_ALLOWED) from error


@contextmanager
def sending(server: Server) -> Iterator[Server]:
    """Yield the server as one that shows progress on standard error; raise Refused if it refuses."""
    columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        screen = Console(stderr=True)
        with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
            task = bar.add_task("sending", total=None, visible=False)
            yield Server(
                server.url,
                server.token,
                progress=lambda sent, total: bar.update(task, completed=sent, total=total, visible=True),
            )
    except ServerUnreachable as error:
        raise Refused(str(error), Exit.UNREACHABLE) from error
    except ServerRefused as error:
        raise Refused(str(error), exit_of(error.status)) from error
