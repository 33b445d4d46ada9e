"""`driftgate traffic`: which version gets which keys, and changing that step by step."""

import math
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from driftgate.gateway.cli import shadow
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Server, model_path
from driftgate.gateway.cli.changing import PATIENCE_S, Call, DryRun, Json, Manner, Name, Patience, change
from driftgate.gateway.cli.model_tables import print_json, print_plain, print_traffic
from driftgate.gateway.cli.refused import EXIT_CODES
from driftgate.gateway.control.model_report import ModelReport
from driftgate.gateway.routing.assignment import AssignmentAnswer
from driftgate.models.errors import InvalidName
from driftgate.models.schema.names import parse_version

app = typer.Typer(add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES, no_args_is_help=True)

Key = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="What assigns a request: header:NAME, input:NAME or prediction-id; else as it was.",
    ),
]
Salt = Annotated[
    str, typer.Option(metavar="SALT", help="rollout or variant: assigned independently; else as it was.")
]


@app.callback()
def traffic() -> None:
    """Show and change which version of a model gets which keys."""


@app.command()
def show(name: Name, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show the arms of a model's split and what assigns requests to them.

    Example: driftgate traffic show fraud
    """
    model = AdminClient(server).get(model_path(name), ModelReport)
    print_json(model) if json else print_traffic(model)


@app.command("set")
def set_split(  # noqa: PLR0913 - each is one option of the command
    name: Name,
    shares: Annotated[list[str], typer.Argument(metavar="VERSION=PERCENT...", help="Such as 7=90 8=10.")],
    key: Key = "",
    salt: Salt = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even if keys are dealt out anew or a version is ejected.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Split the traffic among versions; keys move only into versions whose share grows.

    Example: driftgate traffic set fraud 1=95 2=5 --dry-run
    """
    body: dict[str, Any] = {"arms": _arms(shares), "force": force}
    if key or salt:
        body["assignment"] = _assignment(name, server, key, salt)
    change(Call("PUT", name, "traffic", body, seen=True), Manner(server, timeout, dry_run, json))


@app.command()
def clear(
    name: Name,
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """End a split: the version with most traffic gets all of it.

    Example: driftgate traffic clear fraud
    """
    change(Call("DELETE", name, "traffic", {}, seen=True), Manner(server, timeout, dry_run, json))


@app.command()
def assignment(
    name: Name,
    key: Annotated[str, typer.Option(help="The routing key of a request, such as a customer's number.")],
    at: Annotated[int | None, typer.Option(min=1, help="Generation to look at; else the newest.")] = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Say which version a key gets, and why.

    Example: driftgate traffic assignment fraud --key customer-7
    """
    query = urlencode({"key": key} | ({"at": at} if at else {}))
    found = AdminClient(server).get(f"{model_path(name, 'assignment')}?{query}", AssignmentAnswer)
    if json:
        print_json(found)
    else:
        print_plain(f"{key}: version {found.version} in generation {found.generation}, since {found.why}")


def _arms(shares: list[str]) -> dict[str, float]:
    arms: dict[str, float] = {}
    for share in shares:
        version, _, percent = share.partition("=")
        try:
            number = str(parse_version(version))
            weight = float(percent)
        except (InvalidName, ValueError) as error:
            raise typer.BadParameter(f"{share!r} is not VERSION=PERCENT, such as 7=90") from error
        if not math.isfinite(weight):
            raise typer.BadParameter(f"{share!r}: the percentage is not a finite number")
        if number in arms:
            raise typer.BadParameter(f"version {number} is given twice")
        arms[number] = weight
    total = sum(arms.values())
    if not 99.9999 < total < 100.0001:
        raise typer.BadParameter(f"the percentages must sum to 100, and these sum to {total:.10g}")
    return arms


def _assignment(name: str, server: str, key: str, salt: str) -> dict[str, Any]:
    """Return the assignment to ask for: what is not said stays as it is."""
    kind, _, source = key.partition(":")
    named = kind in ("header", "input")
    if key and (named != bool(source) or not (named or kind == "prediction-id")):
        raise typer.BadParameter(f"{key!r} is not header:NAME, input:NAME or prediction-id")
    if salt not in ("", "rollout", "variant"):
        raise typer.BadParameter(f"{salt!r} is neither rollout nor variant")
    present = AdminClient(server).get(model_path(name), ModelReport).assignment
    wanted = {"kind": kind, "name": source} if key else {"kind": present.key.kind, "name": present.key.name}
    return {"key": wanted, "salt": salt or present.salt}


shadow.add_commands(app)
