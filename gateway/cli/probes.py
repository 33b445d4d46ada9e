"""`driftgate probes`: metrics and health of a state directory, beside planes that run on their own."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.listeners import bind
from driftgate.gateway.processes.spawn import ChildArguments, become
from driftgate.gateway.settings import load_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def probes(
    state: Annotated[str | None, typer.Option(help="Directory shared with the workers. [state]")] = None,
    metrics_host: Annotated[
        str | None, typer.Option(help="Address for metrics and probes. [127.0.0.1]")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port for metrics and probes. [8002]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [driftgate.toml, if there is one]")
    ] = None,
) -> None:
    """Answer `/metrics` and health probes until SIGTERM, from what the processes on this state write.

    Example: driftgate probes --state state
    """
    server = {"state": state, "metrics_host": metrics_host, "metrics_port": metrics_port}
    settings = load_settings(config, os.environ, {"server": server})
    listener = bind(settings.server.metrics_host, settings.server.metrics_port, "metrics-")
    become("driftgate.gateway.processes.probes", ChildArguments(settings, listen_fd=listener.detach()))
