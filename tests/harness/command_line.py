"""The command `driftgate` in this process, and an admin API on a port for it to speak to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from typer.testing import CliRunner, Result

from driftgate.gateway.cli.main import app as command
from driftgate.gateway.http.listening import QuietServer, listener, server_config


def driftgate(*words: object, stdin: str = "", **environment: str) -> Result:
    """Run a command line as a shell would, on a terminal of 200 columns."""
    line = [str(word) for word in words]
    return CliRunner().invoke(command, line, input=stdin, env={"COLUMNS": "200", **environment})


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """Answer on a free port until the block ends; yield the URL."""
    server = QuietServer(server_config(app, 1))
    sock = listener(None, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.stop()
        await serving
