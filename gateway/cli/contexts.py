"""Named gateways, so that nobody types addresses at night: `contexts.toml` in the user's own configuration.

Each table is one gateway: `[prod]` with `server = "http://10.0.0.5:8090"`.
"""

import os
from pathlib import Path

import msgspec
import typer


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One gateway: where its admin API answers."""

    server: str


def contexts_path() -> Path:
    """Return where contexts are kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "driftgate" / "contexts.toml"


def server_url(named: str) -> str:
    """Return the URL that `--server` means: the one given, or that of a context.

    Raises BadParameter if there is no such context or the file cannot be read.
    """
    if "://" in named:
        return named
    path = contexts_path()
    try:
        contexts = msgspec.toml.decode(path.read_bytes(), type=dict[str, Context])
    except FileNotFoundError:
        contexts = {}
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from error
    if named not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise typer.BadParameter(
            f"{named!r} is neither a URL such as http://127.0.0.1:8090 nor a context: in {path} are {known}"
        )
    return contexts[named].server
