"""`driftgate models copy`: a published version goes to another gateway, and stays the same version there."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.cli.access_token import TokenFile
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, Server
from driftgate.gateway.cli.contexts import server_url
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.cli.sending import sending, server_with_token
from driftgate.models.errors import InvalidName, RegistryError
from driftgate.models.remote.client import (
    Connection,
    LocalVersion,
    RemoteVersion,
    VersionSource,
    send_version,
)
from driftgate.models.schema.manifest import digest_of
from driftgate.models.schema.names import check_model_name, parse_version

TO_TOKEN = "DRIFTGATE_TO_TOKEN"  # noqa: S105 - the name of a variable, not what is in it


def copy(  # noqa: PLR0913 - each is one option of the command
    what: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The version to copy.")],
    to: Annotated[str, typer.Option("--to", help="Admin API, or context, of the gateway that gets it.")],
    server: Server = DEFAULT_SERVER,
    registry: Annotated[
        Path | None, typer.Option(help="Copy from this directory of versions and not from a server.")
    ] = None,
    token_file: TokenFile = None,
    to_token_file: Annotated[
        Path | None, typer.Option(help=f"File with the other gateway's token. [what {TO_TOKEN} holds]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Copy a published version to another gateway, under the same number.

    The manifest is kept to the byte, with hashes and provenance, so the version has the same digest there.
    A copy that broke off goes on where it was; a version that is there already is left as it is.

    Example: driftgate models copy fraud@2 --server staging --to production
    """
    name, version = _named(what)
    with sending(server_with_token(server_url(to), to_token_file, TO_TOKEN)) as target, ExitStack() as stack:
        source: VersionSource
        if registry is not None:
            source = _local(registry, name, version)
        else:
            origin = stack.enter_context(Connection(server_with_token(server, token_file)))
            source = RemoteVersion(origin, name, version)
        manifest_bytes = source.manifest()
        placed = send_version(source, manifest_bytes, stack.enter_context(Connection(target)))
    if placed.digest != digest_of(manifest_bytes):
        raise Refused(
            f"{what} is there with the same content but another manifest, so another digest: "
            f"{placed.digest} there, {digest_of(manifest_bytes)} here",
            Exit.CONFLICT,
        )
    if json:
        print_json(placed)
    else:
        verb = "Copied" if placed.created else "Already there:"
        typer.echo(f"{verb} {name}@{placed.version}, digest {placed.digest}")
        if placed.waits_for:
            typer.echo(f"Note: not READY yet: {placed.waits_for}", err=True)


def _named(what: str) -> tuple[str, int]:
    name, _, version = what.partition("@")
    try:
        return check_model_name(name), parse_version(version)
    except InvalidName as error:
        raise typer.BadParameter(f"{error}; name a version as NAME@VERSION, such as fraud@7") from error


def _local(registry: Path, name: str, version: int) -> LocalVersion:
    try:
        return LocalVersion(registry / name / str(version))
    except OSError as error:
        raise RegistryError(f"{name}@{version} cannot be read in {registry}: {error.strerror}") from error
