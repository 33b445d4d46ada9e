"""`driftgate serve`: the whole gateway on this machine."""

import contextlib
import os
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from driftgate import __version__
from driftgate.gateway.listeners import CannotStart, Ports
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.event_logger import EventLogger
from driftgate.gateway.processes.supervisor import Supervisor
from driftgate.gateway.settings import Settings, load_settings
from driftgate.gateway.state.slots import PRIVATE

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def serve(  # noqa: PLR0913 - each is one option of the command
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL.onnx", help="Serve this one file.", show_default=False)
    ] = None,
    registry: Annotated[str | None, typer.Option(help="Directory of published versions. [registry]")] = None,
    state: Annotated[str | None, typer.Option(help="Directory for this gateway's own files. [state]")] = None,
    host: Annotated[str | None, typer.Option(help="Address for predictions. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port for predictions; 0 takes any. [8000]")] = None,
    admin_host: Annotated[str | None, typer.Option(help="Address of the admin API. [127.0.0.1]")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of the admin API. [8090]")] = None,
    metrics_host: Annotated[
        str | None, typer.Option(help="Address for metrics and probes. [127.0.0.1]")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port for metrics and probes. [8002]")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. [one per available core]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file. [driftgate.toml, if there is one]")
    ] = None,
    allow_bare: Annotated[
        bool | None, typer.Option("--allow-bare", help="Serve NAME/1/model.onnx without a manifest too.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take over from the gateway that runs on this state directory.")
    ] = False,
) -> None:
    """Serve the models of a registry, or one ONNX file, until Ctrl-C or SIGTERM.

    Example: driftgate serve --registry registry
    """
    if model is not None and registry is not None:
        raise typer.BadParameter("give either MODEL.onnx or --registry")
    server = {
        "registry": registry,
        "state": state,
        "host": host,
        "port": port,
        "admin_host": admin_host,
        "admin_port": admin_port,
        "metrics_host": metrics_host,
        "metrics_port": metrics_port,
        "workers": workers,
        "allow_bare": allow_bare,
    }
    _run(load_settings(config, os.environ, {"server": server}), model, replace)


def _run(settings: Settings, model: Path | None, replace: bool) -> NoReturn:
    """Be the supervisor, until it is told to stop."""
    if find_spec("uvicorn") is None:
        raise CannotStart("serving needs more packages: pip install 'driftgate[server]'")
    logger = EventLogger("supervisor", settings.models.log_format)
    settings = _with_registry(settings, model, logger)
    logger.info("starting", version=__version__, pid=os.getpid(), **_flat(settings))
    try:
        sys.exit(Supervisor(settings, logger, _announce, replace_running=replace).run())
    finally:
        # What keeps it from starting is said last, behind the settings.
        logger.close()


def _with_registry(settings: Settings, model: Path | None, logger: Logger) -> Settings:
    """Make sure that there is a registry: a private one with `model`, else the one of the settings."""
    if model is not None:
        registry = Path(settings.server.state).absolute() / "registry"
        _publish(model, registry, logger)
    else:
        registry = Path(settings.server.registry).absolute()
        _make_registry(registry, logger)
    server = msgspec.structs.replace(settings.server, registry=str(registry))
    return msgspec.structs.replace(settings, server=server)


def _publish(model: Path, registry: Path, logger: Logger) -> None:
    # Publishing needs packages that a server image may lack, and only this case needs publishing.
    try:
        publishing = import_module("driftgate.models.publish.onnx_file")
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"serving a file needs the package {error.name}: pip install 'driftgate[publish]'"
        ) from error
    try:
        registry.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        registry.mkdir(mode=PRIVATE, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"{registry} cannot be made ({error.strerror}): choose another directory with --state"
        ) from error
    published = publishing.publish_file(model, name=name_from(model), registry=registry)
    logger.info(
        "published",
        file=str(model),
        model=published.name,
        version=published.version,
        warnings=list(published.warnings),
    )


def name_from(model: Path) -> str:
    """Return the model name that a file gives: its own, with what no name may hold replaced by dashes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model.stem).strip("._-")
    return name[:128] or "model"


def _make_registry(registry: Path, logger: Logger) -> None:
    if registry.exists():
        return
    try:
        registry.mkdir(parents=True)
    except OSError as error:
        raise CannotStart(
            f"the registry {registry} is missing and cannot be made ({error.strerror}): "
            "choose another with --registry"
        ) from error
    logger.warning(
        "registry_created",
        registry=str(registry),
        next=f"driftgate publish MODEL.onnx --name NAME --registry {registry}",
    )


def _flat(settings: Settings) -> dict[str, str | int | float | bool | None]:
    sections: dict[str, dict[str, str | int | float | bool | None]] = msgspec.to_builtins(settings)
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _announce(ports: Ports) -> None:
    # Whoever started us may read the first line and go; that is no reason to stop.
    with contextlib.suppress(OSError):
        typer.echo(
            f"Driftgate {__version__} is ready; Ctrl-C stops it.\n"
            f"  predictions  {ports.data}/v2\n"
            f"  dashboard    {ports.admin}/\n"
            f"  admin API    {ports.admin}/api/models\n"
            f"  metrics      {ports.metrics}/metrics"
        )
