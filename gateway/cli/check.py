"""`driftgate check`: open a version as a worker would, and say what it is and how fast."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftgate.models.errors import ModelError
from driftgate.models.local.opening import open_on_trial
from driftgate.models.run.loaded import Trial
from driftgate.models.schema.manifest import Manifest
from driftgate.models.schema.signature import TensorSpec

EXIT_CODES = "Exit codes: 0 it can be served; 1 it cannot, with the reason; 2 wrong usage."
FAILED = 1
MOST_COLUMNS = 40

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=EXIT_CODES)
def check(
    path: Annotated[Path, typer.Argument(help="A version directory (registry/NAME/1), or an ONNX file.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check a version as the server would before loading it.

    Every file is hashed and compared with the manifest, the model is opened, its golden examples are run and
    their outputs compared, and a call is timed at 1, 8 and 64 rows. An ONNX file that was never published is
    checked as if it had just been. Good in CI, before a version is copied to production.

    Example: driftgate check registry/fraud/1
    """
    try:
        trial = open_on_trial(path)
    except ModelError as error:
        if not json:
            raise
        typer.echo(msgspec.json.encode({"ok": False, "path": str(path), "error": str(error)}).decode())
        raise typer.Exit(FAILED) from error
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_document(path, trial))).decode())
    else:
        _show(path, trial)


def _document(path: Path, trial: Trial) -> dict[str, object]:
    manifest = trial.manifest
    return {
        "ok": True,
        "path": str(path),
        "name": manifest.name,
        "version": manifest.version,
        "digest": trial.digest,
        "signature": manifest.signature,
        "columns": manifest.columns,
        "task": manifest.task,
        "independent_rows": manifest.independent_rows,
        "golden_difference": trial.golden_difference if manifest.golden else None,
        "latency_us": {str(rows): round(seconds * 1e6, 1) for rows, seconds in trial.latency_s.items()},
        "warnings": manifest.warnings,
    }


def _show(path: Path, trial: Trial) -> None:
    manifest, console = trial.manifest, Console()
    console.print(f"{path}: good, {manifest.name} version {manifest.version}", highlight=False, markup=False)
    facts = Table.grid(padding=(0, 2))
    _row(facts, "files", f"{len(manifest.files)}, {manifest.size_bytes:,} bytes, hashes as in the manifest")
    _row(facts, "golden", _golden(trial))
    _row(facts, "rows", "independent" if manifest.independent_rows else "not independent: never batched")
    times = (f"{rows} rows {seconds * 1e6:,.0f} µs" for rows, seconds in trial.latency_s.items())
    _row(facts, "one call", ", ".join(times))
    console.print(facts)
    console.print(_tensors(manifest))
    if manifest.columns:
        console.print(_columns(manifest))
    for warning in manifest.warnings:
        console.print(f"Note: {warning}", highlight=False, markup=False)


def _golden(trial: Trial) -> str:
    golden = trial.manifest.golden
    if golden is None:
        return "none"
    return f"{golden.rows} rows reproduced, largest difference {trial.golden_difference:.2g}"


def _tensors(manifest: Manifest) -> Table:
    table = Table("tensor", "datatype", "shape", "role")
    for spec in manifest.signature.inputs:
        _row(table, *_tensor(spec), "input")
    roles = {output.name: output.role for output in manifest.task.outputs}
    for spec in manifest.signature.outputs:
        _row(table, *_tensor(spec), roles.get(spec.name, "other"))
    return table


def _tensor(spec: TensorSpec) -> tuple[str, str, str]:
    return spec.name, spec.datatype, str(list(spec.shape))


def _columns(manifest: Manifest) -> Table:
    table = Table("column", "datatype", "unit", "missing", "categories")
    for column in manifest.columns[:MOST_COLUMNS]:
        categories = [str(category) for category in column.categories or ()]
        shown = ", ".join(categories[:5]) + (
            f" and {len(categories) - 5} more" if len(categories) > 5 else ""
        )
        missing = (
            f"yes, {column.missing_token!r}" if column.missing_token else "yes" if column.missing else ""
        )
        _row(table, column.name, column.datatype, column.unit or "", missing, shown)
    if len(manifest.columns) > MOST_COLUMNS:
        _row(table, f"and {len(manifest.columns) - MOST_COLUMNS} more")
    return table


def _row(table: Table, *cells: str) -> None:
    """Add a row as plain text: what a model file says is never markup."""
    table.add_row(*map(Text, cells))
