"""`driftgate models wait`: for pipelines that publish a version and then want traffic for it."""

import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Server
from driftgate.gateway.cli.admin_client import model_path as path_of
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.control.model_report import ModelReport, VersionReport
from driftgate.models.errors import InvalidName
from driftgate.models.schema.names import check_model_name, parse_version

POLL_S = 0.1
SETTLED_S = 3.0
"""What is wrong with a version for so long is told and not waited for: it is tried again ever more rarely."""

WAIT_EXIT_CODES = (
    "Exit codes: 0 ready, 1 it cannot be loaded, 2 wrong usage, 3 not published in time, 5 no answer from "
    "the server, 6 not ready in time, 7 a token is missing or lacks the scope."
)

Found = VersionReport | Refused


def wait(
    what: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="Without version: the one with traffic.")
    ],
    ready: Annotated[
        bool, typer.Option("--ready", help="Until every worker can answer with it; the default.")
    ] = True,
    server: Server = DEFAULT_SERVER,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Wait until every worker is ready to answer with a version, or it turns out that none will be.

    Example: driftgate models wait fraud@2 --timeout 120
    """
    name, version = name_and_version(what)
    client = AdminClient(server)
    with Console(stderr=True).status(f"waiting for {what}"):
        found = settled(lambda: _look(client, name, version), timeout)
    if isinstance(found, Refused):
        waited = "" if found.code in (Exit.NOT_ALLOWED, Exit.FAILED) else f" after {timeout:g} s"
        raise Refused(f"{what} is not ready{waited}: {found}", found.code)
    if json:
        print_json(found)
    else:
        typer.echo(f"{name}@{found.version} is ready")


def settled(look: Callable[[], Found], timeout_s: float) -> Found:
    """Look until the version is ready, has been impossible for a while, may not be seen, or time is up."""
    deadline = time.monotonic() + timeout_s
    failed_since: float | None = None
    while True:
        found, now = look(), time.monotonic()
        if isinstance(found, VersionReport) or found.code is Exit.NOT_ALLOWED or now >= deadline:
            return found
        if found.code is not Exit.FAILED:
            failed_since = None
        elif failed_since is None:
            failed_since = now
        elif now - failed_since >= SETTLED_S:
            return found
        time.sleep(POLL_S)


def name_and_version(text: str) -> tuple[str, int | None]:
    """Return the parts of NAME[@VERSION]; raise BadParameter where it is none."""
    name, at, version = text.partition("@")
    try:
        return check_model_name(name), parse_version(version) if at else None
    except InvalidName as error:
        raise typer.BadParameter(str(error)) from error


def _look(client: AdminClient, name: str, version: int | None) -> Found:
    """Return the version if it is READY, else why it is not."""
    try:
        model = client.get(path_of(name), ModelReport)
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
    code = Exit.FAILED if found.state == "UNAVAILABLE" else Exit.TIMED_OUT
    return Refused(f"version {found.version} is {found.state.lower()} {found.reason}".rstrip(), code)
