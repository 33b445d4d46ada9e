"""The closed loop: each connection sends again when it is answered. It finds the peak; latencies flatter."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

from loadtests.pool import Pool
from loadtests.self_check import Fitness, SelfCheck
from loadtests.tally import Latency, Tally
from loadtests.target import Question, Target, problem_of
from loadtests.ticker import now_ns
from loadtests.wire import Address, Answer, Connection

DRAIN_S = 5.0
LOOK_S = 0.01


@dataclass(frozen=True)
class Peak:
    """What a server answered when it was never left without work."""

    rate: float
    answered: int
    latency: Latency
    errors: "Counter[str]"
    fitness: Fitness


@dataclass
class ClosedLoop:
    """One run against one target over so many connections."""

    target: Target
    address: Address
    connections: int
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._pool = Pool(self, self.address, self.connections)
        self._questions: Iterator[Question] = cycle(self.target.questions)
        self._sent: dict[Connection, tuple[Question, int]] = {}
        self._start_ns = 0
        self._sending = False

    async def run(self, seconds: float, warm_up_s: float = 0.0) -> Peak:
        """Ask for `seconds` after a warm-up and return what came of it; raise OSError if none can connect."""
        check = SelfCheck()
        try:
            await self._pool.open()
            self._start_ns, self._sending = now_ns(), True
            self.free()
            await asyncio.sleep(warm_up_s)
            begin, self.tally = time.monotonic(), Tally()
            check.begin()
            await asyncio.sleep(seconds)
            elapsed_s, fitness, tally = time.monotonic() - begin, check.verdict(), self.tally
            self.tally, self._sending = Tally(), False
            await self._drain()
        finally:
            self._pool.close()
        # What is lost or refused while the last requests drain belongs to the run as well.
        errors = tally.errors + self.tally.errors
        return Peak(tally.answered / elapsed_s, tally.answered, tally.latency(), errors, fitness)

    def free(self) -> None:
        """Send on every connection that is idle."""
        while self._sending and (connection := self._pool.take()):
            question = next(self._questions)
            self._sent[connection] = (question, now_ns())
            connection.send(question.request)

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Count an answer."""
        sent = self._sent.pop(connection, None)
        if sent is None:
            return
        question, sent_ns = sent
        problem, now = problem_of(answer, question), now_ns()
        if problem:
            self.tally.fail(problem, (sent_ns - self._start_ns) // 1000)
        else:
            self.tally.answer(0, (sent_ns - self._start_ns) // 1000, (now - sent_ns) // 1000)

    def lost(self, connection: Connection) -> None:
        """Count a request whose connection went away."""
        sent = self._sent.pop(connection, None)
        if sent is not None:
            self.tally.fail("closed", (sent[1] - self._start_ns) // 1000)

    async def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        while self._sent and time.monotonic() < deadline:  # noqa: ASYNC110 - the hot path sets no event
            await asyncio.sleep(LOOK_S)
        for _, sent_ns in self._sent.values():
            self.tally.fail("timeout", (sent_ns - self._start_ns) // 1000)
        self._sent.clear()
