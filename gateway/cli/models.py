"""`driftgate models`: show the models of a running gateway and change what they serve."""

from enum import StrEnum
from typing import Annotated

import typer

from driftgate.gateway.admin.documents import ChangeAnswer, ExampleAnswer, ModelsAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Question, Server, model_path
from driftgate.gateway.cli.changing import PATIENCE_S, Call, DryRun, Json, Manner, Name, Patience, change
from driftgate.gateway.cli.copying import copy
from driftgate.gateway.cli.example_calls import curl_call, python_call
from driftgate.gateway.cli.model_tables import print_json, print_model, print_models
from driftgate.gateway.cli.refused import EXIT_CODES, Exit, Refused
from driftgate.gateway.cli.sending import SEND_EXIT_CODES
from driftgate.gateway.cli.waiting import WAIT_EXIT_CODES, wait
from driftgate.gateway.control.model_report import ModelReport

app = typer.Typer(add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES)


class Language(StrEnum):
    """What an example call is written in."""

    CURL = "curl"
    PYTHON = "python"


@app.callback(invoke_without_command=True)
def models(context: typer.Context, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show the models of a running gateway and change what they serve."""
    if context.invoked_subcommand is None:
        _list(server, json)


@app.command("list")
def list_models(server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show all models; the same as `driftgate models` alone.

    Example: driftgate models list --json
    """
    _list(server, json)


@app.command()
def show(name: Name, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show one model with its versions, and why some of them are not served.

    Example: driftgate models show fraud
    """
    model = AdminClient(server).get(model_path(name), ModelReport)
    print_json(model) if json else print_model(model)


@app.command()
def promote(  # noqa: PLR0913 - each is one option of the command
    name: Name,
    version: Annotated[int, typer.Argument(min=1, metavar="VERSION", help="Version to get all traffic.")],
    force: Annotated[bool, typer.Option("--force", help="Even if it takes other inputs.")] = False,
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Give one version all traffic, once every worker is ready for it.

    Example: driftgate models promote fraud 2
    """
    body = {"version": version, "force": force}
    change(Call("POST", name, "promote", body), Manner(server, timeout, dry_run, json))


@app.command()
def pin(name: Name, server: Server = DEFAULT_SERVER, dry_run: DryRun = False, json: Json = False) -> None:
    """Keep the traffic where it is: neither policy nor promote moves it until `unpin`.

    Example: driftgate models pin fraud
    """
    change(Call("POST", name, "pin", {}), Manner(server, dry_run=dry_run, json=json))


@app.command()
def unpin(name: Name, server: Server = DEFAULT_SERVER, dry_run: DryRun = False, json: Json = False) -> None:
    """Let policy and operators move the traffic again.

    Example: driftgate models unpin fraud
    """
    change(Call("POST", name, "unpin", {}), Manner(server, dry_run=dry_run, json=json))


@app.command()
def load(
    name: Name, server: Server = DEFAULT_SERVER, timeout: Patience = PATIENCE_S, json: Json = False
) -> None:
    """Load a model again that was unloaded, and check at once what failed before.

    Example: driftgate models load fraud
    """
    _ask_repository(name, Question("POST", f"load?wait={timeout:g}", {}, timeout), server, json)


@app.command()
def unload(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Even if it has traffic: its clients get 404.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Free all versions of a model until `load`; the registry keeps them.

    Example: driftgate models unload fraud --force
    """
    _ask_repository(name, Question("POST", "unload", {"parameters": {"force": force}}), server, json)


@app.command()
def example(
    name: Name,
    language: Annotated[Language, typer.Option("--as", help="What to print it in.")] = Language.CURL,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Print a call of the model that works, with rows from its published examples.

    Example: driftgate models example fraud --as python
    """
    found = AdminClient(server).get(model_path(name, "example"), ExampleAnswer)
    if json:
        print_json(found)
    else:
        typer.echo(curl_call(found) if language is Language.CURL else python_call(found))


app.command("wait", epilog=WAIT_EXIT_CODES)(wait)
app.command("copy", epilog=SEND_EXIT_CODES)(copy)


def _ask_repository(name: str, question: Question, server: str, json: bool) -> None:
    path = f"/v2/repository/models/{name}/{question.path}"
    answer, _ = AdminClient(server).ask(question._replace(path=path), ChangeAnswer)
    print_json(answer) if json else print_model(answer.model)
    if answer.state == "pending":
        raise Refused("it is not loaded everywhere yet", Exit.TIMED_OUT)


def _list(server: str, json: bool) -> None:
    found = AdminClient(server).get("/api/models", ModelsAnswer)
    print_json(found) if json else print_models(found)
