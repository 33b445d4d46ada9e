"""uvicorn as all our processes run it: on a given socket, without its own signals, logs and lifespan."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from driftgate.gateway.http.bounded_protocol import BoundedProtocol
from driftgate.gateway.http.connection_limits import ConnectionLimits
from driftgate.gateway.listeners import BACKLOG, bind

LOOK_EVERY_TICKS = 3
"""Of uvicorn's tenths of a second: how often connections are looked at whether they stand still."""


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to its process, and closes connections that stand still."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: what a signal means is decided by whoever runs the server."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections now and then; return whether the server is to end."""
        if counter % LOOK_EVERY_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.close_if_stalled(now)
        return await super().on_tick(counter)

    def stop(self) -> None:
        """Stop accepting and return from `serve` when everything in flight is answered or out of time."""
        self.should_exit = True


def bounded(limits: ConnectionLimits) -> Any:
    """Return what makes the protocol of a connection with these limits."""
    return partial(BoundedProtocol, limits)


def server_config(app: ASGIApp, graceful_s: int, protocol: Any = BoundedProtocol) -> uvicorn.Config:
    """Return the configuration of a server for `app` that waits `graceful_s` for what is in flight.

    `protocol` makes the protocol of a connection from what uvicorn gives it.
    """
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=graceful_s,
        backlog=BACKLOG,
    )


def listener(descriptor: int | None, host: str, port: int, option: str = "") -> socket.socket:
    """Return the inherited listening socket, or a new one as `bind` makes it."""
    return bind(host, port, option) if descriptor is None else socket.socket(fileno=descriptor)
