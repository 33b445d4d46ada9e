"""`driftgate apply`: bring the settings of models to what files say."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from driftgate.gateway.admin.settings import SettingsAnswer
from driftgate.gateway.admin.settings_tree import InvalidTree, WantedSettings, read_tree
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Question, Server, model_path
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import EXIT_CODES, Exit, Refused
from driftgate.models.registry.settings import settings_differences

ATTEMPTS = 5
DIFFERENCES = 8
"""Exit code of a dry run that found something to apply."""

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, epilog=f"{EXIT_CODES} 8: --dry-run found differences."
)


class Applied(msgspec.Struct, frozen=True):
    """What became of one model: which settings differ, and whether they were applied."""

    model: str
    differences: tuple[str, ...]
    applied: bool
    generation: int


@app.command()
def apply(  # noqa: PLR0913 - each is one option of the command
    path: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="A model.toml, or MODEL/model.toml files.")
    ],
    model: Annotated[str | None, typer.Option(help="The model of FILE. [name of its directory]")] = None,
    why: Annotated[str, typer.Option(help="Reason, for the audit trail.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Check all settings first, show what differs from the gateway's, and apply it.

    Example: driftgate apply settings/ --dry-run
    """
    try:
        results = _apply_all(AdminClient(server), read_tree(path, model), why, dry_run)
    except InvalidTree as error:
        raise Refused(str(error), Exit.FAILED) from error
    if json:
        print_json(results)
    else:
        for result in results:
            _show(result, dry_run)
    if dry_run and any(result.differences for result in results):
        raise typer.Exit(DIFFERENCES)


def _apply_all(client: AdminClient, tree: list[WantedSettings], why: str, dry_run: bool) -> list[Applied]:
    # every model is looked up before the first one is changed: an unknown one changes nothing
    before = [client.get(model_path(wanted.model, "settings"), SettingsAnswer) for wanted in tree]
    return [_apply(client, wanted, now, why, dry_run) for wanted, now in zip(tree, before, strict=True)]


def _apply(
    client: AdminClient, wanted: WantedSettings, now: SettingsAnswer, why: str, dry_run: bool
) -> Applied:
    found = tuple(map(str, settings_differences(now.settings, wanted.settings)))
    if now.broken:
        found = (*found, "model.toml: broken in the registry → as given")
    if dry_run or not found:
        return Applied(wanted.model, found, applied=False, generation=now.generation)
    answer = _put(client, wanted, now, why)
    return Applied(wanted.model, found, applied=True, generation=answer.generation)


def _put(client: AdminClient, wanted: WantedSettings, seen: SettingsAnswer, why: str) -> SettingsAnswer:
    """Replace the settings as they were shown, or not at all; the state moves on for other reasons too."""
    path, body = model_path(wanted.model, "settings"), {"text": wanted.text, "why": why}
    for _ in range(ATTEMPTS):
        latest, etag = client.ask(Question("GET", path), SettingsAnswer)
        if (latest.settings, latest.broken) != (seen.settings, seen.broken):
            break
        try:
            return client.ask(Question("PUT", path, body, etag=etag), SettingsAnswer)[0]
        except Refused as refused:
            if not refused.outdated:
                raise
    raise Refused(f"somebody else is changing {wanted.model}: look at it and apply again", Exit.CONFLICT)


def _show(result: Applied, dry_run: bool) -> None:
    if not result.differences:
        typer.echo(f"{result.model}: nothing to do")
        return
    done = "would change" if dry_run else f"applied as generation {result.generation}"
    typer.echo(f"{result.model}: {done}")
    for difference in result.differences:
        typer.echo(f"  {difference}")
