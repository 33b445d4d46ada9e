"""Where commands find the caller's token: in a file, else in the environment.

Never on the command line itself, which every user of the machine can read.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

TOKEN_VARIABLE = "DRIFTGATE_TOKEN"  # noqa: S105 - the name of a variable, not what is in it
TOKEN_FILE_VARIABLE = "DRIFTGATE_TOKEN_FILE"  # noqa: S105 - as above

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar=TOKEN_FILE_VARIABLE,
        help=f"File that holds the token. [what {TOKEN_VARIABLE} holds]",
        show_envvar=True,
    ),
]


class NoToken(Exception):
    """What should hold a token holds none."""


def access_token(token_file: Path | None, variable: str = TOKEN_VARIABLE) -> str | None:
    """Return the token in `token_file`, else in the environment, None if there is none; raise NoToken."""
    try:
        text = os.environ.get(variable, "") if token_file is None else token_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NoToken(f"{token_file} cannot be read: {reason}") from error
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token or (token_file and not token):
        raise NoToken(f"what {token_file or variable} holds is no token")
    return token or None


def environment_token() -> str | None:
    """Return the token that the environment names or holds; raise NoToken."""
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    return access_token(Path(named) if named else None)
