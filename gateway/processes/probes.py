"""The process on the metrics port: `/metrics` and the probes of both planes, for schedulers and SREs.

It reads files only, so it answers whatever the others are doing, and it never sees a payload.
"""

import asyncio
import signal
import socket
import time
from pathlib import Path

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from driftgate.gateway.access.route_scopes import UndeclaredScope, need_of
from driftgate.gateway.http.connection_limits import ConnectionLimits
from driftgate.gateway.http.listening import QuietServer, bounded, listener, server_config
from driftgate.gateway.http.small_bodies import MAX_BODY_BYTES
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.metrics.exposition import CONTENT_TYPE, render
from driftgate.gateway.processes.library_logs import LibraryLogs
from driftgate.gateway.processes.spawn import child_arguments, die_with_parent
from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.slots import beat_path, slot_numbers

FRESH_S = 6.0
"""A process that has not pulsed for so long counts as not answering."""


def ready_workers(layout: StateLayout, now_ns: int) -> int:
    """Return how many workers accept requests and turn their loop."""
    beats = (read_beat(beat_path(layout, number)) for number in slot_numbers(layout))
    return sum(
        beat is not None and beat.state is BeatState.ACCEPTING and beat.is_fresh(now_ns, FRESH_S)
        for beat in beats
    )


def control_alive(layout: StateLayout, now_ns: int) -> bool:
    """Return whether the control plane turns its loop."""
    beat = read_beat(layout.control_beat)
    return beat is not None and beat.state is not BeatState.DEAD and beat.is_fresh(now_ns, FRESH_S)


def application(layout: StateLayout) -> Starlette:
    """Return the application of this port."""

    def metrics(request: Request) -> Response:
        return Response(render(layout), media_type=CONTENT_TYPE)

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        workers = ready_workers(layout, time.monotonic_ns())
        return JSONResponse({"ready": workers > 0, "workers": workers}, 200 if workers else 503)

    async def control(request: Request) -> Response:
        alive = control_alive(layout, time.monotonic_ns())
        return JSONResponse({"alive": alive}, 200 if alive else 503)

    routes = [
        Route("/metrics", metrics),
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/health/control", control),
    ]
    for route in routes:
        if not need_of("probes", "GET", route.path).open:
            raise UndeclaredScope(f"{route.path}: this port knows no tokens, so everything on it is open")
    return Starlette(routes=routes)


async def _serve(layout: StateLayout, sock: socket.socket, limits: ConnectionLimits) -> None:
    server = QuietServer(server_config(application(layout), 1, bounded(limits)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve(sockets=[sock])


def main(argv: list[str] | None = None) -> None:
    """Run until SIGTERM."""
    arguments = child_arguments(argv)
    die_with_parent(arguments.parent_pid)
    server = arguments.settings.server
    LibraryLogs(Logger("probes", arguments.settings.models.log_format)).install()
    sock = listener(arguments.listen_fd, server.metrics_host, server.metrics_port, "metrics-")
    limits = ConnectionLimits(arguments.settings.limits.receive_timeout_s, MAX_BODY_BYTES)
    uvloop.run(_serve(StateLayout(Path(server.state)), sock, limits))


if __name__ == "__main__":
    main()
