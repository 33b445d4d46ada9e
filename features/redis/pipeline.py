"""One pipeline to Redis at a time: what turns ask meanwhile gathers and goes out together as the next.

So there is one connection with one writer, replies can only belong to the commands that were just sent, and
pipelines grow by themselves under load. In front of it stands the breaker.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeGuard

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.breaker import Breaker, BreakerState
from driftgate.features.redis.replies import Command, ErrorReply, Reply

Answer = Callable[[Sequence[Reply] | None], None]
"""Takes a reply for each command; None if the server could not be asked, or refused."""
BreakerChanged = Callable[[BreakerState, str], None]
"""Is told the new state and the latest failure, for the log."""

_OF_ONE_KEY = "WRONGTYPE"
"""The one error that says something about a key rather than about the server."""


class Asked(NamedTuple):
    """Commands that belong together, and who waits for their replies."""

    commands: Sequence[Command]
    answer: Answer


@dataclass
class RoundTripCounts:
    """What became of the pipelines so far: how many ended, how many of those failed, their time."""

    ended: int = 0
    failed: int = 0
    spent_ns: int = 0


class Connection(Protocol):
    """Something to send commands through; see RedisConnection."""

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands and return a reply for each; raise StoreUnavailable."""
        ...

    async def drop(self) -> None:
        """Close it; the next round trip opens it again."""
        ...


class RedisPipeline:
    """Asks one server, for one event loop."""

    def __init__(
        self,
        connection: Connection,
        breaker: Breaker,
        changed: BreakerChanged,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._breaker = breaker
        self._changed = changed
        self._clock = clock
        self._gathered: list[Asked] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._failure = ""
        self.counts = RoundTripCounts()

    @property
    def state(self) -> BreakerState:
        """Whether the server is asked. Unless it is CLOSED nobody should wait, not even for a probe."""
        return self._breaker.state

    @property
    def trouble(self) -> str:
        """Why the server is not asked now; empty if it is."""
        return "" if self._breaker.state is BreakerState.CLOSED else self._failure

    def ask(self, commands: Sequence[Command], answer: Answer) -> None:
        """Send commands with the next pipeline; `answer` is called once, at once if the breaker is open."""
        if self._closed or not self._breaker.allows(self._clock()):
            answer(None)
            return
        self._gathered.append(Asked(commands, answer))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Break off what is under way, tell whoever waits, and close the connection."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._refuse([])
        await self._connection.drop()

    async def _run(self) -> None:
        batch: list[Asked] = []
        try:
            while self._gathered:
                batch, self._gathered = self._gathered, []
                replies = await self._round_trip([command for asked in batch for command in asked.commands])
                _answer(batch, replies)
                batch = []
                if self._breaker.state is BreakerState.OPEN:
                    break
        finally:
            self._refuse(batch)
            self._task = None

    def _refuse(self, batch: Sequence[Asked]) -> None:
        """Tell those of a batch that came to no end, and all who wait for the next one."""
        refused, self._gathered = [*batch, *self._gathered], []
        _answer(refused, None)

    async def _round_trip(self, commands: Sequence[Command]) -> list[Reply] | None:
        began_ns = time.perf_counter_ns()
        try:
            replies = await self._connection.round_trip(commands)
        except StoreUnavailable as error:
            self._ended(began_ns, str(error))
            return None
        refused = [reply for reply in replies if _is_refusal(reply)]
        everything = len(refused) == len(replies)
        self._ended(began_ns, f"Redis refuses: {refused[0]}" if refused and everything else "")
        return replies

    def _ended(self, began_ns: int, failure: str) -> None:
        self.counts.ended += 1
        self.counts.spent_ns += time.perf_counter_ns() - began_ns
        before = self._breaker.state
        if failure:
            self._failure = failure
            self.counts.failed += 1
            self._breaker.failed(self._clock())
        else:
            self._breaker.succeeded(self._clock())
        if self._breaker.state is not before:
            self._changed(self._breaker.state, failure)


def _answer(batch: Sequence[Asked], replies: Sequence[Reply] | None) -> None:
    """Hand out the replies, each answer on its own, so that one that fails takes no other with it."""
    loop = asyncio.get_running_loop()
    at = 0
    for asked in batch:
        own = None if replies is None else replies[at : at + len(asked.commands)]
        at += len(asked.commands)
        loop.call_soon(asked.answer, None if own is None or any(map(_is_refusal, own)) else own)


def _is_refusal(reply: Reply) -> TypeGuard[ErrorReply]:
    return isinstance(reply, ErrorReply) and reply.code != _OF_ONE_KEY
