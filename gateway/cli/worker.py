"""`driftgate worker`: one worker on its own, beside a control plane that shares its state directory."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart, bind
from driftgate.gateway.processes.spawn import ChildArguments, become
from driftgate.gateway.settings import load_settings
from driftgate.gateway.state.slots import SlotLease, SlotTaken

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def worker(
    slot: Annotated[int, typer.Option(min=0, help="This worker's number; no other may have it.")] = 0,
    state: Annotated[str | None, typer.Option(help="Directory shared with control. [state]")] = None,
    host: Annotated[str | None, typer.Option(help="Address for predictions. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port for predictions. [8000]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [driftgate.toml, if there is one]")
    ] = None,
) -> None:
    """Run one worker until SIGTERM; it serves what `driftgate control` decides on the same state.

    Example: driftgate worker --slot 1 --port 8001
    """
    server = {"state": state, "host": host, "port": port}
    settings = load_settings(config, os.environ, {"server": server})
    try:
        # Given back at once, since the worker takes it itself; only here can a refusal be told plainly.
        SlotLease.acquire(StateLayout(Path(settings.server.state).absolute()), slot).release()
    except SlotTaken as error:
        raise CannotStart(f"{error} with --slot") from error
    listener = bind(settings.server.host, settings.server.port, "")
    become("driftgate.gateway.serving.worker", ChildArguments(settings, slot, listener.detach()))
