"""`driftgate publish`: an ONNX file becomes an immutable version in a registry, here or at a gateway."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftgate.gateway.cli.access_token import TokenFile
from driftgate.gateway.cli.contexts import server_url
from driftgate.gateway.cli.publishing import publish
from driftgate.gateway.cli.sending import sending, server_with_token
from driftgate.models.convert.stated import read_columns, read_task
from driftgate.models.publish.data_files import read_rows
from driftgate.models.publish.onnx_file import Published

EXIT_CODES = (
    "Exit codes: 0 published, or the same content was already there; 1 refused; 2 wrong usage; with --server "
    "also 4 the number holds other content, 5 no answer, 7 a token is missing or lacks the scope."
)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The ONNX file to publish.")]
Name = Annotated[str, typer.Option(help="Name of the model: letters, digits, '.', '_', '-'.")]
Number = Annotated[int | None, typer.Option(min=1, help="Version number. [the next one]")]
Registry = Annotated[Path | None, typer.Option(help="Directory of published versions. [registry]")]
ToServer = Annotated[
    str | None, typer.Option(help="Publish to this gateway: its admin API, or the name of a context.")
]
Examples = Annotated[
    Path | None,
    typer.Option(help="Rows to keep as golden examples: .csv, .json, .parquet, or .npz by input name."),
]
Reference = Annotated[
    Path | None, typer.Option(help="Training rows: show column names, categories and missing values.")
]
Columns = Annotated[
    Path | None,
    typer.Option(help="JSON or TOML list of columns: name, input, index, unit, categories, missing, …"),
]
TaskFile = Annotated[
    Path | None,
    typer.Option(help="JSON or TOML: type, outputs (name, role), classes, threshold, label_name, …"),
]
Label = Annotated[str | None, typer.Option(help="Column of the rows that is the label: named, and no input.")]
Binding = Annotated[
    Path | None,
    typer.Option(help="Binding file (TOML): which columns stored features fill, and by which keys."),
]
Meta = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="A note for people; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("publish", epilog=EXIT_CODES)
def publish_command(  # noqa: PLR0913 - each is one option of the command
    model: ModelFile,
    name: Name,
    version: Number = None,
    registry: Registry = None,
    server: ToServer = None,
    token_file: TokenFile = None,
    examples: Examples = None,
    reference: Reference = None,
    columns: Columns = None,
    task: TaskFile = None,
    target: Label = None,
    features: Binding = None,
    meta: Meta = None,
    json: Json = False,
) -> None:
    """Put an ONNX model into a registry as a version that never changes.

    The file is opened and run before anything is published. What a bare file does not say (names and units of
    columns, what the outputs mean) can be given with --reference, --columns and --task; every option that is
    left out is answered by a warning that says what monitoring will lack. A running gateway finds the version
    by itself. With --server the version is built and checked here and sent there; one that broke off goes on
    where it was when the same is published again. With --features clients send keys in place of the columns
    that are stored, see `driftgate features`. Estimators are published from Python:
    driftgate.publish(estimator, name=…, examples=frame).

    Example: driftgate publish model.onnx --name fraud --examples rows.parquet
    """
    if registry is not None and server is not None:
        raise typer.BadParameter("give either --registry or --server: a version goes to one place")
    give = partial(
        publish,
        model,
        name=name,
        version=version,
        examples=read_rows(examples) if examples else None,
        reference=read_rows(reference) if reference else None,
        columns=read_columns(columns) if columns else None,
        task=read_task(task) if task else None,
        target=target,
        features=features,
        meta=_pairs(meta or []),
    )
    _show(_given(give, registry, server, token_file), json)


def _given(
    give: Callable[..., Published], registry: Path | None, server: str | None, token_file: Path | None
) -> Published:
    """Publish to the server, with the caller's token for it, else into the registry."""
    if server is None:
        return give(registry=registry)
    with sending(server_with_token(server_url(server), token_file)) as gateway:
        return give(server=gateway)


def _pairs(meta: list[str]) -> dict[str, str]:
    pairs = {}
    for pair in meta:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--meta")
        pairs[key] = value
    return pairs


def _document(published: Published) -> dict[str, object]:
    return {
        "name": published.name,
        "version": published.version,
        "created": published.created,
        "directory": str(published.directory),
        "server": published.server,
        "digest": published.digest,
        "size_bytes": published.manifest.size_bytes,
        "warnings": published.warnings,
    }


def _show(published: Published, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_document(published))).decode())
        return
    console = Console()
    verb = "Published" if published.created else "Already there, unchanged:"
    console.print(f"{verb} {published.name} version {published.version}", highlight=False)
    table = Table.grid(padding=(0, 2))
    if published.server:
        _row(table, "server", published.server)
    else:
        _row(table, "directory", str(published.directory))
    _row(table, "digest", published.digest)
    inputs = ", ".join(f"{spec.name} {spec.datatype}" for spec in published.manifest.signature.inputs[:6])
    _row(table, "inputs", inputs + (" …" if len(published.manifest.signature.inputs) > 6 else ""))
    roles = ", ".join(f"{output.name} ({output.role})" for output in published.manifest.task.outputs)
    _row(table, "outputs", roles)
    console.print(table)
    for warning in published.warnings:
        Console(stderr=True).print(f"Note: {warning}", highlight=False, markup=False)


def _row(table: Table, *cells: str) -> None:
    """Add a row as plain text: what a model file says is never markup."""
    table.add_row(*map(Text, cells))
