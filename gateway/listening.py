"""uvicorn as all our processes run it: on a given socket, without its own signals, logs and lifespan."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from driftgate.gateway.listeners import BACKLOG, bind

KEEP_ALIVE_S = 75


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to its process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: what a signal means is decided by whoever runs the server."""
        yield

    def stop(self) -> None:
        """Stop accepting and return from `serve` when everything in flight is answered or out of time."""
        self.should_exit = True


def server_config(app: ASGIApp, graceful_s: int, protocol: Any = "httptools") -> uvicorn.Config:
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
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=graceful_s,
        backlog=BACKLOG,
    )


def listener(descriptor: int | None, host: str, port: int, option: str = "") -> socket.socket:
    """Return the inherited listening socket, or a new one as `bind` makes it."""
    return bind(host, port, option) if descriptor is None else socket.socket(fileno=descriptor)
