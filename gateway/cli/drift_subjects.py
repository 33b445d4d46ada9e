"""Which model and version a verb of `driftgate drift` is about."""

from typing import Annotated

import typer

from driftgate.models.errors import InvalidName
from driftgate.models.schema.names import check_model_name, parse_version

Subject = Annotated[
    str, typer.Argument(metavar="MODEL[@VERSION]", help="Model, and version if not the newest.")
]


def parsed(subject: str) -> tuple[str, int | None]:
    """Return model and version of a subject, None for no version; raise BadParameter if it is none."""
    name, at, version = subject.partition("@")
    try:
        return check_model_name(name), parse_version(version) if at else None
    except InvalidName as error:
        raise typer.BadParameter(str(error), param_hint="MODEL") from error
