"""Taking connections from a listener that several workers share, so that each gets its share.

The kernel wakes every worker and the fastest takes all. Here a worker that has more connections than another
steps back for a moment; if nobody takes the connection in that time, it does.
"""

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from driftgate.gateway.http.listening import QuietServer

STEP_BACK_S = 0.002
NO_DESCRIPTORS_S = 0.1
LAST_WORDS_S = 0.25
FULL_S = 0.05
"""How long a worker with as many connections as it may have waits for one of them to end."""

SPARE_DESCRIPTORS = 128
"""For models, logs and whatever else a worker opens."""

MOST_OTHERS = 4
"""How many other workers are looked at for one connection."""


def should_step_back(mine: int, others: list[int]) -> bool:
    """Tell whether another worker has fewer connections, so that it should take the next one."""
    return bool(others) and mine > min(others)


def connections_within(limit: int, most_descriptors: int) -> int:
    """Return how many connections fit into `limit` and into the descriptors that the process may have."""
    return max(1, min(limit, most_descriptors - SPARE_DESCRIPTORS))


class FairServer(QuietServer):
    """A uvicorn server that takes one connection at a time, and not always.

    `others(limit)` gives the numbers of connections of up to `limit` other workers that accept; `changed()`
    is called whenever our own number has changed. With `most` connections of its own it takes none.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        others: Callable[[int], list[int]],
        changed: Callable[[], None],
        most: int,
    ) -> None:
        super().__init__(config)
        self._most = most
        self._others = others
        self._changed = changed
        self._stepped_back = False
        self._opening: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections from the one socket given."""
        (listener,) = sockets or []
        listener.setblocking(False)
        self._listener: socket.socket | None = listener
        self._loop = asyncio.get_running_loop()
        self.servers: list[asyncio.base_events.Server] = []
        self._watch()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections; end those that are idle and wait for the others."""
        self._pause()
        self._listener = None
        await self._hear_last_words()
        await super().shutdown(sockets)

    async def _hear_last_words(self) -> None:
        """Let connections that were taken last say what they came for.

        Closing one whose request has arrived and was not read yet would reset it.
        """
        if self._opening or self.server_state.connections:
            await asyncio.sleep(LAST_WORDS_S)

    def _watch(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._take, self._listener)

    def _pause(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)

    def _step_back(self, seconds: float) -> None:
        self._pause()
        self._loop.call_later(seconds, self._watch)

    def _take(self, listener: socket.socket) -> None:
        mine = len(self.server_state.connections) + len(self._opening)
        if mine >= self._most:
            self._step_back(FULL_S)
            return
        if not self._stepped_back and should_step_back(mine, self._others(MOST_OTHERS)):
            self._stepped_back = True
            self._step_back(STEP_BACK_S)
            return
        self._stepped_back = False
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker was faster, or the client has gone
        except OSError:  # out of descriptors, most likely; trying at once would only burn time
            self._step_back(NO_DESCRIPTORS_S)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opening = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opened)

    def _opened(self, opening: "asyncio.Task[object]") -> None:
        self._opening.discard(opening)
        if not opening.cancelled() and opening.exception() is None:
            self._changed()

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state={}, _loop=self._loop)
