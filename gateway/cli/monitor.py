"""`driftgate monitor`: the monitor on its own, beside workers that share its state directory."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.processes.spawn import ChildArguments, become
from driftgate.gateway.settings import load_settings
from driftgate.gateway.state.slots import PRIVATE, take_lock

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def monitor(
    state: Annotated[str | None, typer.Option(help="Directory shared with the workers. [state]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [driftgate.toml, if there is one]")
    ] = None,
) -> None:
    """Run the monitor until SIGTERM; it reads and archives what the workers on the same state record.

    Example: driftgate monitor --state state
    """
    settings = load_settings(config, os.environ, {"server": {"state": state}})
    if not settings.log.enabled:
        raise CannotStart("there is nothing to follow: log.enabled is false")
    layout = StateLayout(Path(settings.server.state).absolute())
    layout.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    lock = take_lock(layout.monitor_lock)
    if lock is None:
        raise CannotStart(f"another monitor follows the logs of {layout.root}")
    os.close(lock)  # given back, since the monitor takes it itself; only here can a refusal be told plainly
    become("driftgate.gateway.monitor.process", ChildArguments(settings))
