"""`driftgate backup`: save state, tokens, salts and settings of the gateway on this machine."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import load_settings
from driftgate.gateway.state.backup import Source, write_backup
from driftgate.gateway.state.backup_manifest import BackupError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def backup(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the directory backup-<time> is made.")
    ],
    state: Annotated[str | None, typer.Option(help="State directory of the gateway. [state]")] = None,
    registry: Annotated[str | None, typer.Option(help="Directory of published versions. [registry]")] = None,
    with_models: Annotated[
        bool, typer.Option("--with-models", help="Also copy the versions that are held.")
    ] = False,
) -> None:
    """Write a backup, which holds secrets, and print where it is; the gateway may run meanwhile.

    Example: driftgate backup /srv/backups --with-models
    """
    server = load_settings(None, os.environ, {"server": {"state": state, "registry": registry}}).server
    source = Source(StateLayout(Path(server.state).absolute()), Path(server.registry).absolute(), with_models)
    try:
        typer.echo(write_backup(source, directory.absolute(), datetime.now(UTC)))
    except BackupError as error:
        raise Refused(str(error), Exit.FAILED) from error
