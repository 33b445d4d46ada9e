"""A TCP proxy that harms what passes through it, on order: late, cut off, in drops, never, or made up."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Harm:
    """What happens to what the server sends.

    `late_s`: each piece is passed on that much later. `drop_s`: one byte at a time, that far apart.
    `cut_at`: after so many bytes the connection is reset. `silent`: nothing is passed on, in either
    direction. `instead`: whatever the client sends is answered with these bytes.
    """

    late_s: float = 0.0
    drop_s: float = 0.0
    cut_at: int | None = None
    silent: bool = False
    instead: bytes | None = None


NONE = Harm()


class FaultProxy:
    """A proxy in a thread of its own, on `port`. `harm` may be changed at any time, for what comes next."""

    def __init__(self, server_port: int, certificate: Path | None = None) -> None:
        self.harm = NONE
        self.connections = 0
        self._server_port = server_port
        self._tls = None if certificate is None else _tls(certificate)
        self._told: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = SimpleQueue()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._loop, self._ended, self.port = self._told.get(timeout=5)
        self.url = (
            f"redis://127.0.0.1:{self.port}/0" if certificate is None else f"rediss://localhost:{self.port}/0"
        )

    def close(self) -> None:
        """Hang up on everybody and stop."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self) -> None:
        ended = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self._told.put((asyncio.get_running_loop(), ended, int(server.sockets[0].getsockname()[1])))
        await ended.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            upstream, server = await asyncio.open_connection("127.0.0.1", self._server_port)
            try:
                await self._between((reader, writer), (upstream, server))
            finally:
                server.transport.abort()
        finally:
            writer.transport.abort()

    async def _between(self, client: _End, server: _End) -> None:
        back = asyncio.create_task(self._back(server[0], client[1]))
        try:
            with suppress(ConnectionError):
                while data := await client[0].read(65536):
                    await self._forth(data, server[1], client[1])
        finally:
            back.cancel()

    async def _forth(self, data: bytes, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> None:
        harm = self.harm
        if harm.instead is not None:
            client.write(harm.instead)
        elif not harm.silent:
            server.write(data)

    async def _back(self, upstream: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await upstream.read(65536):
                await self._pass_on(data, client)
            client.close()

    async def _pass_on(self, data: bytes, client: asyncio.StreamWriter) -> None:
        harm = self.harm
        await asyncio.sleep(harm.late_s)
        if harm.drop_s:
            for byte in data:
                client.write(bytes([byte]))
                await asyncio.sleep(harm.drop_s)
        elif harm.cut_at is not None:
            client.write(data[: harm.cut_at])
            await client.drain()
            client.transport.abort()
        elif not harm.silent:
            client.write(data)


def _tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextmanager
def fault_proxy(server_port: int, certificate: Path | None = None) -> Iterator[FaultProxy]:
    """Run a proxy in front of a server; with a `certificate` clients have to speak TLS with it."""
    proxy = FaultProxy(server_port, certificate)
    try:
        yield proxy
    finally:
        proxy.close()
