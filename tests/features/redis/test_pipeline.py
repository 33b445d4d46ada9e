"""What is asked together, and what is not asked at all."""

import asyncio
from collections.abc import Sequence

import pytest

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.breaker import Breaker, BreakerState
from driftgate.features.redis.pipeline import RedisPipeline
from driftgate.features.redis.replies import Command, ErrorReply, Reply


class Echo:
    """A server that answers each command with its last word, once it may; `failing` breaks its connection."""

    def __init__(self) -> None:
        self.batches: list[list[Command]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.failing = False
        self.dropped = 0

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer."""
        self.batches.append(list(commands))
        await self.may.wait()
        if self.failing:
            raise StoreUnavailable("gone")
        return [ErrorReply(word[1:].decode()) if word[:1] == b"-" else word for *_, word in commands]

    async def drop(self) -> None:
        """Count."""
        self.dropped += 1


class Client:
    """Asks through a pipeline and keeps the answers in the order in which they come."""

    def __init__(self) -> None:
        self.server = Echo()
        self.now = 0.0
        self.answered = asyncio.Event()
        self.changes: list[tuple[BreakerState, str]] = []
        self.answers: list[tuple[str, Sequence[Reply] | None]] = []
        breaker = Breaker(lambda: 0.5)
        told = self.changes.append
        self.pipeline = RedisPipeline(
            self.server, breaker, lambda state, failure: told((state, failure)), lambda: self.now
        )

    def ask(self, name: str, *words: bytes) -> None:
        """Ask one command for each word."""

        def answer(own: Sequence[Reply] | None) -> None:
            self.answers.append((name, own))
            self.answered.set()

        self.pipeline.ask([(b"ECHO", word) for word in words], answer)

    async def settle(self, answers: int) -> None:
        """Wait until so many answers are here."""
        async with asyncio.timeout(5):
            while len(self.answers) < answers:
                self.answered.clear()
                await self.answered.wait()

    async def fail(self, times: int) -> None:
        """Let round trips fail."""
        self.server.failing = True
        for _ in range(times):
            self.ask("failing", b"x")
            await self.settle(len(self.answers) + 1)
        self.server.failing = False
        self.answers.clear()


def test_everyone_gets_their_own_replies() -> None:
    """What is asked in one turn of the loop goes out at once, and each gets the replies to its commands."""

    async def run() -> None:
        client = Client()
        client.ask("a", b"1", b"2")
        client.ask("b", b"3")
        client.ask("none")
        await client.settle(3)
        assert client.answers == [("a", [b"1", b"2"]), ("b", [b"3"]), ("none", [])]
        assert len(client.server.batches) == 1

    asyncio.run(run())


def test_one_pipeline_at_a_time() -> None:
    """What is asked while a pipeline is under way gathers, and goes out together as the next."""

    async def run() -> None:
        client = Client()
        client.server.may.clear()
        client.ask("first", b"0")
        await asyncio.sleep(0)
        for number in range(5):
            client.ask("later", b"%d" % number)
            await asyncio.sleep(0)
        assert len(client.server.batches) == 1
        client.server.may.set()
        await client.settle(6)
        assert [len(batch) for batch in client.server.batches] == [1, 5]

    asyncio.run(run())


def test_a_refused_command_fails_those_who_asked_it() -> None:
    """An error reply is no answer to whoever asked; those who asked beside it get theirs."""

    async def run() -> None:
        client = Client()
        client.ask("good", b"1")
        client.ask("bad", b"1", b"-NOPERM")
        client.ask("odd", b"-WRONGTYPE")
        await client.settle(3)
        assert client.answers == [("good", [b"1"]), ("bad", None), ("odd", [ErrorReply("WRONGTYPE")])]
        assert client.pipeline.counts.failed == 0

    asyncio.run(run())


def test_a_server_that_refuses_everything_counts_as_away() -> None:
    """A server that answers with errors alone opens the breaker, with its word for it."""

    async def run() -> None:
        client = Client()
        for _ in range(5):
            client.ask("loading", b"-LOADING")
            await client.settle(len(client.answers) + 1)
        assert client.changes == [(BreakerState.OPEN, client.pipeline.trouble)]
        assert client.pipeline.trouble == "Redis refuses: LOADING: it is still loading its data"

    asyncio.run(run())


def test_nobody_asks_while_the_breaker_is_open() -> None:
    """After five failures the answer is None at once, until a probe has ended well."""

    async def run() -> None:
        client = Client()
        await client.fail(5)
        asked = len(client.server.batches)
        client.ask("refused", b"1")
        assert client.answers == [("refused", None)]
        client.now = 1.0
        client.ask("probe", b"1")
        client.ask("beside it", b"1")
        assert client.answers[1:] == [("beside it", None)]
        await client.settle(3)
        assert client.answers[2:] == [("probe", [b"1"])]
        assert len(client.server.batches) == asked + 1
        assert [state for state, _ in client.changes] == [BreakerState.OPEN, BreakerState.CLOSED]

    asyncio.run(run())


def test_what_gathered_is_refused_when_the_breaker_opens() -> None:
    """Those who wait for the next pipeline are told at once when there will be none."""

    async def run() -> None:
        client = Client()
        await client.fail(4)
        client.server.failing = True
        client.server.may.clear()
        client.ask("fails", b"1")
        await asyncio.sleep(0)
        client.ask("gathered", b"1")
        client.server.may.set()
        await client.settle(2)
        assert client.answers == [("fails", None), ("gathered", None)]
        assert len(client.server.batches) == 5

    asyncio.run(run())


def test_an_answer_that_raises_takes_no_other_with_it() -> None:
    """Whoever cannot take their answer does not keep the others from getting theirs."""

    async def run() -> None:
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: raised.append(context["exception"])
        )
        client = Client()
        client.pipeline.ask([(b"1",)], lambda own: [].pop())
        client.ask("other", b"1")
        await client.settle(1)
        client.ask("next", b"2")
        await client.settle(2)
        assert [type(error) for error in raised] == [IndexError]

    asyncio.run(run())


@pytest.mark.parametrize("under_way", [True, False])
def test_closing_tells_everybody(under_way: bool) -> None:
    """Closing breaks off what is under way, refuses what waits and what comes, and drops the connection."""

    async def run() -> None:
        client = Client()
        client.server.may.clear()
        client.ask("first", b"1")
        if under_way:
            await asyncio.sleep(0)
        client.ask("second", b"1")
        await client.pipeline.close()
        client.ask("too late", b"1")
        await client.settle(3)
        assert {name for name, own in client.answers if own is None} == {"first", "second", "too late"}
        assert client.server.dropped == 1

    asyncio.run(run())
