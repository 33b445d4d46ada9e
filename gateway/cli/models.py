"""`driftgate models`: show the models of a running gateway and change what they serve."""

import time
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from driftgate.gateway.admin_documents import ChangeAnswer, ExampleAnswer, ModelsAnswer
from driftgate.gateway.cli.admin_client import (
    DEFAULT_SERVER,
    EXIT_CODES,
    AdminClient,
    Exit,
    Refused,
    Server,
    leave,
    model_path,
)
from driftgate.gateway.cli.example_calls import curl_call, python_call
from driftgate.gateway.cli.model_tables import print_change, print_json, print_model, print_models
from driftgate.gateway.model_report import ModelReport, VersionReport
from driftgate.models.errors import InvalidName
from driftgate.models.names import parse_version

POLL_S = 0.1
PATIENCE_S = 130.0
"""Enough for one preparation by every worker and one more by those that were replaced."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Patience = Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait until it is in force.")]


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
    """Show all models; the same as `driftgate models` alone."""
    _list(server, json)


@app.command()
def show(name: Name, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show one model with its versions, and why some of them are not served."""
    try:
        model = AdminClient(server).get(model_path(name), ModelReport)
    except Refused as refused:
        leave(refused)
    print_json(model) if json else print_model(model)


@app.command()
def promote(  # noqa: PLR0913 - each is one option of the command
    name: Name,
    version: Annotated[int, typer.Argument(min=1, metavar="VERSION", help="Version to get all traffic.")],
    force: Annotated[bool, typer.Option("--force", help="Even if it takes other inputs.")] = False,
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    json: Json = False,
) -> None:
    """Give one version all traffic, once every worker is ready for it."""
    _change(_Call("POST", name, "promote", {"version": version, "force": force}), server, timeout, json)


@app.command()
def traffic(
    name: Name,
    shares: Annotated[list[str], typer.Argument(metavar="VERSION=PERCENT...", help="Such as 7=90 8=10.")],
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    json: Json = False,
) -> None:
    """Split the traffic among versions; the percentages sum to 100."""
    _change(_Call("PUT", name, "traffic", {"arms": _arms(shares)}), server, timeout, json)


@app.command()
def rollback(
    name: Name, server: Server = DEFAULT_SERVER, timeout: Patience = PATIENCE_S, json: Json = False
) -> None:
    """Go back to the last version that had all traffic, and pin it."""
    _change(_Call("POST", name, "rollback", {}), server, timeout, json)


@app.command()
def pin(name: Name, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Keep the traffic where it is: neither policy nor promote moves it until `unpin`."""
    _change(_Call("POST", name, "pin", {}), server, PATIENCE_S, json)


@app.command()
def unpin(name: Name, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Let policy and operators move the traffic again."""
    _change(_Call("POST", name, "unpin", {}), server, PATIENCE_S, json)


@app.command()
def wait(
    what: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="Without version: the one with traffic.")
    ],
    server: Server = DEFAULT_SERVER,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 60.0,
    json: Json = False,
) -> None:
    """Wait until every worker is ready to answer with a version."""
    name, version = _name_and_version(what)
    deadline = time.monotonic() + timeout
    with Console(stderr=True).status(f"waiting for {what}"):
        while True:
            found = _look(AdminClient(server), name, version)
            if isinstance(found, VersionReport) or time.monotonic() >= deadline:
                break
            time.sleep(POLL_S)
    if isinstance(found, Refused):
        code = Exit.UNREACHABLE if found.code is Exit.UNREACHABLE else Exit.TIMED_OUT
        leave(Refused(f"{what} is not ready after {timeout:g} s: {found}", code))
    if json:
        print_json(found)
    else:
        typer.echo(f"{name}@{found.version} is ready")


@app.command()
def example(
    name: Name,
    language: Annotated[Language, typer.Option("--as", help="What to print it in.")] = Language.CURL,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Print a call of the model that works, with rows from its published examples."""
    try:
        found = AdminClient(server).get(model_path(name, "example"), ExampleAnswer)
    except Refused as refused:
        leave(refused)
    if json:
        print_json(found)
    else:
        typer.echo(curl_call(found) if language is Language.CURL else python_call(found))


class _Call:
    """One changing call of the admin API."""

    def __init__(self, method: str, name: str, verb: str, body: dict[str, Any]) -> None:
        self.method = method
        self.path = model_path(name, verb)
        self.body = body


def _list(server: str, json: bool) -> None:
    try:
        found = AdminClient(server).get("/api/models", ModelsAnswer)
    except Refused as refused:
        leave(refused)
    print_json(found) if json else print_models(found)


def _change(call: _Call, server: str, timeout_s: float, json: bool) -> None:
    try:
        answer = AdminClient(server).change(call.method, call.path, call.body, ChangeAnswer, timeout_s)
    except Refused as refused:
        leave(refused)
    print_json(answer) if json else print_change(answer)
    if answer.state == "pending":
        leave(Refused("it still waits for workers to get ready; nothing has moved yet", Exit.TIMED_OUT))


def _arms(shares: list[str]) -> dict[str, float]:
    arms: dict[str, float] = {}
    for share in shares:
        version, _, percent = share.partition("=")
        try:
            number = str(parse_version(version))
            weight = float(percent)
        except (InvalidName, ValueError) as error:
            raise typer.BadParameter(f"{share!r} is not VERSION=PERCENT, such as 7=90") from error
        if number in arms:
            raise typer.BadParameter(f"version {number} is given twice")
        arms[number] = weight
    if not 99.9999 < sum(arms.values()) < 100.0001:
        raise typer.BadParameter("the percentages must sum to 100")
    return arms


def _name_and_version(text: str) -> tuple[str, int | None]:
    name, _, version = text.partition("@")
    try:
        return name, parse_version(version) if version else None
    except InvalidName as error:
        raise typer.BadParameter(str(error)) from error


def _look(client: AdminClient, name: str, version: int | None) -> VersionReport | Refused:
    """Return the version if it is READY, else why it is not."""
    try:
        model = client.get(model_path(name), ModelReport)
    except Refused as refused:
        return refused
    number = version or model.labels.get("stable")
    found = next((one for one in model.versions if one.version == number), None)
    if found is None:
        return Refused(
            "no such version is published" if version else "no version has traffic", Exit.NOT_FOUND
        )
    if found.state == "READY":
        return found
    return Refused(
        f"version {found.version} is {found.state.lower()} {found.reason}".rstrip(), Exit.TIMED_OUT
    )
