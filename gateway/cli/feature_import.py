"""`driftgate features import-feast`: the views of a Feast registry as declarations to look over."""

from pathlib import Path
from typing import Annotated

import typer

from driftgate.features.feast.registry import InvalidFeastRegistry, read_feast_registry
from driftgate.features.views.declaration import view_text
from driftgate.gateway.cli.feature_places import Json, telling
from driftgate.gateway.cli.model_tables import print_json, print_plain
from driftgate.gateway.cli.refused import Exit, Refused


def import_feast(
    registry: Annotated[
        Path, typer.Argument(metavar="REGISTRY", help="Feast's registry.db file.", dir_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Directory for the declarations.", file_okay=False)],
    project: Annotated[str | None, typer.Option(help="Only views of this Feast project.")] = None,
    json: Json = False,
) -> None:
    """Write a declaration for each view of a Feast registry; `features declare` declares them.

    What has no counterpart here is left out, with the reason.

    Example: driftgate features import-feast registry.db --out views
    """
    with telling():
        try:
            found = read_feast_registry(registry.read_bytes(), project)
        except InvalidFeastRegistry as error:
            raise Refused(f"{registry.name}: {error}", Exit.FAILED) from error
        out.mkdir(parents=True, exist_ok=True)
        names = [one.view.name for one in found.views]
        taken = [name for name in names if names.count(name) > 1 or (out / f"{name}.toml").exists()]
        if taken:
            raise Refused(f"{taken[0]} is there twice, or in {out} already: choose --project", Exit.CONFLICT)
        for one in found.views:
            (out / f"{one.view.name}.toml").write_text(view_text(one.view))
    if json:
        print_json({"views": names, "left_out": found.left_out})
        return
    for name in names:
        print_plain(str(out / f"{name}.toml"))
    for text in found.left_out:
        print_plain(f"! left out: {text}")
