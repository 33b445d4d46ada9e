"""`driftgate doctor`: check an installation and say what is wrong and what to do."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.terminal import console, plain, table
from driftgate.gateway.processes.diagnosis import Finding
from driftgate.gateway.processes.doctor import examine
from driftgate.gateway.settings import load_settings

EXIT_CODES = "Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage."
MARKS = {"ok": "ok", "note": "note", "problem": "WRONG"}

app = typer.Typer(add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES)


@app.command()
def doctor(
    state: Annotated[str | None, typer.Option(help="State directory of the gateway. [state]")] = None,
    registry: Annotated[str | None, typer.Option(help="Directory of published versions. [registry]")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file. [driftgate.toml]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check the gateway of a state directory, its processes and its machine; say what to do.

    Give it the settings that the gateway was started with. It changes nothing.

    Example: driftgate doctor --state state --registry registry
    """
    settings = load_settings(config, os.environ, {"server": {"state": state, "registry": registry}})
    findings = examine(settings)
    if json:
        print_json(findings)
    else:
        _show(findings)
    raise typer.Exit(int(any(finding.level == "problem" for finding in findings)))


def _show(findings: list[Finding]) -> None:
    rows = table("CHECK", "", "FOUND")
    for finding in findings:
        text = f"{finding.text}\n-> {finding.advice}" if finding.advice else finding.text
        rows.add_row(finding.check, MARKS[finding.level], "\n".join(map(plain, text.split("\n"))))
    console().print(rows)
