"""`driftgate restore`: make a state directory from a backup."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.settings import load_settings
from driftgate.gateway.state.backup_manifest import BackupError
from driftgate.gateway.state.restore import Restored
from driftgate.gateway.state.restore import restore as restore_backup

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 done, but the registry lacks versions.",
)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A directory that `backup` made.")],
    state: Annotated[str, typer.Option(help="The new state directory; empty or absent.")],
    registry: Annotated[str | None, typer.Option(help="Directory of published versions. [registry]")] = None,
) -> None:
    """Check a backup and make a new state directory of it; complete the registry where it lacks files.

    Example: driftgate restore /srv/backups/backup-20260131T120000Z --state new-state
    """
    server = load_settings(None, os.environ, {"server": {"registry": registry}}).server
    try:
        restored = restore_backup(backup, Path(state), Path(server.registry).absolute())
    except BackupError as error:
        raise Refused(str(error), Exit.FAILED) from error
    typer.echo(f"{state}: generation {restored.generation}; start with `driftgate serve --state {state}`")
    _warn(restored)
    if restored.missing:
        raise typer.Exit(int(Exit.NOT_FOUND))


def _warn(restored: Restored) -> None:
    for path in restored.different:
        typer.echo(f"{path} in the registry is not what it was; it was left as it is", err=True)
    for version in restored.missing:
        share = f" and has {version.weight_ppm / 10_000:g} % of the traffic" if version.weight_ppm else ""
        typer.echo(f"{version.model}@{version.version} is not in the registry{share}", err=True)
