"""`driftgate features`: declare views, fill them, look at what is stored, and who reads it."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from driftgate.features.embedded.snapshots import SnapshotInfo
from driftgate.features.views.declaration import parse_view, python_views
from driftgate.features.views.view import FeatureView
from driftgate.gateway.admin.feature_documents import DeclareAnswer, EntityAnswer, SkewAnswer, ViewsAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Question, Server
from driftgate.gateway.cli.feature_import import import_feast
from driftgate.gateway.cli.feature_load import compact_view, export_file, load_file
from driftgate.gateway.cli.feature_places import Json, ViewName
from driftgate.gateway.cli.feature_push import push
from driftgate.gateway.cli.feature_tables import print_catalogue, print_entity, print_skew, print_views
from driftgate.gateway.cli.model_tables import print_json, print_plain
from driftgate.gateway.cli.refused import EXIT_CODES, Exit, Refused

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES)
app.command("load", epilog=EXIT_CODES)(load_file)
app.command("push", epilog=EXIT_CODES)(push)
app.command("export", epilog=EXIT_CODES)(export_file)
app.command("compact", epilog=EXIT_CODES)(compact_view)
app.command("import-feast", epilog=EXIT_CODES)(import_feast)

_VIEWS = "/api/features"


@app.callback()
def features() -> None:
    """Declare feature views, fill them, and look at what is stored and who reads it."""


@app.command()
def ls(server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show all views: snapshot, entities, age and size.

    Example: driftgate features ls
    """
    answer = _views(server)
    print_json(answer) if json else print_views(answer)


@app.command()
def catalogue(server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show all features: what they mean, who owns them, and which versions read them.

    Example: driftgate features catalogue
    """
    answer = _views(server)
    print_json(answer) if json else print_catalogue(answer)


@app.command()
def get(
    view: ViewName,
    key: Annotated[list[str], typer.Argument(metavar="KEY...", help="Its join keys, in their order.")],
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Show what a model would get of one entity now: values, statuses, age.

    Example: driftgate features get users ada
    """
    keys = quote(msgspec.json.encode(key).decode(), safe="")
    answer = AdminClient(server).get(f"{_path(view)}/entity?key={keys}", EntityAnswer)
    print_json(answer) if json else print_entity(answer)


@app.command()
def declare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="TOML, or Python.", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="Even if stored rows cannot be read by it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Declare views: a TOML file is one, named as the file; of a Python file every FeatureView it holds.

    Example: driftgate features declare users.toml --dry-run
    """
    views = [view for file in files for view in _read_views(file)]
    client, answers = AdminClient(server), []
    for view in views:
        question = Question(
            "PUT",
            f"{_path(view.name)}?dry_run={str(dry_run).lower()}",
            {"view": msgspec.to_builtins(view), "force": force},
        )
        try:
            answers.append(client.ask(question, DeclareAnswer)[0])
        except Refused as refused:
            raise Refused(f"{view.name}: {refused}", refused.code) from refused
    if json:
        print_json(answers)
        return
    for answer in answers:
        print_plain(f"{answer.view}: {answer.outcome}{' (dry run)' if dry_run else ''}, {answer.digest}")


@app.command()
def rollback(
    view: ViewName,
    snapshot: Annotated[
        int | None, typer.Argument(min=1, metavar="[SNAPSHOT]", help="[the one before]")
    ] = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Let readers go back to an earlier snapshot; newer pushes still count.

    Example: driftgate features rollback users
    """
    question = Question("POST", f"{_path(view)}/rollback", {"snapshot": snapshot})
    info = AdminClient(server).ask(question, SnapshotInfo)[0]
    if json:
        print_json(info)
    else:
        print_plain(f"{info.view}: snapshot {info.number} of {info.created_at}, {info.rows} entities")


@app.command()
def skew(view: ViewName, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show how what clients send of a view compares with what is stored, row by row, by model version.

    Example: driftgate features skew users
    """
    answer = AdminClient(server).get(f"{_path(view)}/skew", SkewAnswer)
    if json:
        print_json(answer)
    elif answer.versions:
        print_skew(answer.versions)
    else:
        print_plain(f"No request has sent a feature of {view} that is stored too.")


def _views(server: str) -> ViewsAnswer:
    return AdminClient(server).get(_VIEWS, ViewsAnswer)


def _read_views(file: Path) -> list[FeatureView]:
    try:
        if file.suffix == ".py":
            return python_views(file)
        return [parse_view(file.read_text(), file.name, file.stem)]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Refused(f"{file} cannot be read: {reason}", Exit.FAILED) from error


def _path(view: str) -> str:
    return f"{_VIEWS}/{quote(view, safe='')}"
