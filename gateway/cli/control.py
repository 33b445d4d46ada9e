"""`driftgate control`: the control plane on its own, beside workers that share its state directory."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import bind
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.spawn import ChildArguments, become
from driftgate.gateway.processes.start_access import check_access
from driftgate.gateway.processes.start_state import check_state
from driftgate.gateway.settings import load_settings
from driftgate.gateway.state.state_lock import claim_state

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def control(  # noqa: PLR0913 - each is one option of the command
    registry: Annotated[str | None, typer.Option(help="Directory of published versions. [registry]")] = None,
    state: Annotated[str | None, typer.Option(help="Directory shared with the workers. [state]")] = None,
    admin_host: Annotated[str | None, typer.Option(help="Address of the admin API. [127.0.0.1]")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of the admin API. [8090]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [driftgate.toml, if there is one]")
    ] = None,
    allow_bare: Annotated[
        bool | None, typer.Option("--allow-bare", help="Serve NAME/1/model.onnx without a manifest too.")
    ] = None,
) -> None:
    """Run the control plane until SIGTERM; it decides what the workers on the same state serve.

    Example: driftgate control --registry registry --state state
    """
    server = {
        "registry": registry,
        "state": state,
        "admin_host": admin_host,
        "admin_port": admin_port,
        "allow_bare": allow_bare,
    }
    settings = load_settings(config, os.environ, {"server": server})
    layout = StateLayout(Path(settings.server.state).absolute())
    check_access(settings, layout, Logger("control", settings.models.log_format))
    check_state(layout)
    # The lock is held by the process, which stays the same when it becomes the control plane.
    os.set_inheritable(claim_state(layout), True)
    listener = bind(settings.server.admin_host, settings.server.admin_port, "admin-")
    become("driftgate.gateway.admin.process", ChildArguments(settings, listen_fd=listener.detach()))
