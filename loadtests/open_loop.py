"""The open loop: requests are sent when they are due, whether or not earlier ones were answered.

Latency counts from the due time: waiting for a stalled server or a free connection is never left out.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from loadtests.arrivals import Arrivals
from loadtests.pool import Pool
from loadtests.self_check import Fitness, SelfCheck
from loadtests.tally import Tally
from loadtests.target import Question, Target, order, problem_of
from loadtests.ticker import Ticker, now_ns
from loadtests.wire import Address, Answer, Connection

LOOK_S = 0.02
START_IN_NS = 20_000_000


@dataclass(frozen=True)
class Plan:
    """What is sent: targets in their shares, when, over how many connections, with how much patience."""

    targets: tuple[Target, ...]
    arrivals: Arrivals
    connections: int = 64
    timeout_s: float = 5.0


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    plan: Plan
    tally: Tally
    offered: int
    elapsed_s: float
    waited_for_connection: int
    fitness: Fitness

    @property
    def offered_rate(self) -> float:
        """Requests per second that were due."""
        return self.offered / max(min(self.plan.arrivals.duration_s, self.elapsed_s), 1e-9)

    @property
    def achieved_rate(self) -> float:
        """Right answers per second, until the last request was settled."""
        return self.tally.answered / self.elapsed_s if self.elapsed_s else 0.0


class Due(NamedTuple):
    """One request: its target, its question and when it was due."""

    target: int
    question: Question
    due_ns: int


@dataclass
class OpenLoop:
    """One run. `tally` may be read while it goes on."""

    plan: Plan
    address: Address
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._pool = Pool(self, self.address, self.plan.connections)
        self._times = self.plan.arrivals.times_ns()
        self._next_ns = next(self._times, None)
        self._sent = 0
        self._waiting: deque[Due] = deque()
        self._on_the_way: dict[Connection, Due] = {}
        self._waited = 0
        self._check = SelfCheck()
        self._order = order(self.plan.targets)
        self._start_ns = 0
        self._stopped = False
        self._timeout_ns = int(self.plan.timeout_s * 1e9)
        self._settled = asyncio.Event()

    @property
    def now_s(self) -> float:
        """How long ago the first request was due."""
        return (now_ns() - self._start_ns) / 1e9

    @property
    def in_flight(self) -> int:
        """How many requests are on their way."""
        return len(self._on_the_way)

    def stop(self) -> None:
        """Let no more requests become due; the run ends when what is on its way is settled."""
        self._stopped = True
        self._settle()

    async def run(self) -> Run:
        """Send everything and return what came of it; raise OSError if the server cannot be reached."""
        self._ticker = Ticker(asyncio.get_running_loop(), self._tick)
        try:
            await self._pool.open()
            self._start_ns = now_ns() + START_IN_NS
            self._check.begin()
            self._arm()
            while not self._settled.is_set():
                await asyncio.sleep(LOOK_S)
                self._give_up_late()
                self._settle()
        finally:
            self._ticker.close()
            self._pool.close()
        elapsed_s = max((now_ns() - self._start_ns) / 1e9, 1e-9)
        return Run(self.plan, self.tally, self._sent, elapsed_s, self._waited, self._check.verdict())

    def free(self) -> None:
        """Send what waits for a connection."""
        while self._waiting:
            due = self._waiting[0]
            if not self._send(due):
                return
            self._waiting.popleft()

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Count an answer."""
        due = self._on_the_way.pop(connection, None)
        if due is None:
            return
        problem = problem_of(answer, due.question)
        due_us = (due.due_ns - self._start_ns) // 1000
        if problem:
            self.tally.fail(problem, due_us)
        else:
            self.tally.answer(due.target, due_us, (now_ns() - due.due_ns) // 1000)

    def lost(self, connection: Connection) -> None:
        """Count a request whose connection went away."""
        due = self._on_the_way.pop(connection, None)
        if due is not None:
            self._fail("closed", due)

    def _tick(self) -> None:
        now, before, first_ns = now_ns(), self._sent, self._next_ns
        limit_ns = now - self._start_ns
        while self._next_ns is not None and self._next_ns <= limit_ns and not self._stopped:
            self._become_due(self._start_ns + self._next_ns)
            self._next_ns = next(self._times, None)
        if first_ns is not None:
            self._check.sent(self._sent - before, limit_ns - first_ns)
        self._arm()

    def _become_due(self, due_ns: int) -> None:
        number = self._order[self._sent % len(self._order)]
        questions = self.plan.targets[number].questions
        due = Due(number, questions[self._sent % len(questions)], due_ns)
        self._sent += 1
        if self._waiting or not self._send(due):
            self._waited += 1
            self._waiting.append(due)

    def _send(self, due: Due) -> bool:
        connection = self._pool.take()
        if connection is None:
            return False
        self._on_the_way[connection] = due
        connection.send(due.question.request)
        return True

    def _arm(self) -> None:
        if self._next_ns is not None and not self._stopped:
            self._ticker.arm(self._start_ns + self._next_ns)

    def _give_up_late(self) -> None:
        limit_ns = now_ns() - self._timeout_ns
        while self._waiting and self._waiting[0].due_ns < limit_ns:
            self._fail("timeout" if self._pool.can_connect else "connect", self._waiting.popleft())
        late = [link for link, due in self._on_the_way.items() if due.due_ns < limit_ns]
        for connection in late:
            self._fail("timeout", self._on_the_way.pop(connection))
            connection.abort()

    def _settle(self) -> None:
        all_sent = self._stopped or self._next_ns is None
        if all_sent and not self._waiting and not self._on_the_way:
            self._settled.set()

    def _fail(self, kind: str, due: Due) -> None:
        self.tally.fail(kind, (due.due_ns - self._start_ns) // 1000)
