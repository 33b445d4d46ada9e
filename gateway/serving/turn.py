"""The turn: requests that became ready in one turn of the event loop are computed together.

Turns that are predicted to be short run on the loop; the others go to the lane of their version, a thread,
and gather there while it is busy. No request ever waits for a timer, and a lone one runs in its own turn.
"""

import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from driftgate.gateway.errors import DeadlineExceeded
from driftgate.gateway.serving.batch import Piece, Result, compute, take, whole
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.state.beat import LANES, Beat

INLINE_LIMIT_S = 0.0005
Record = Callable[[ServedVersion, list[Piece], list[Result | Exception]], None]
"""Told of every call once its requests are settled."""
Gathered = Mapping[ServedVersion, list[Exchange]]
Enrich = Callable[[Gathered, Callable[[Gathered], None]], None]
"""Completes requests with stored features and hands on those that can be computed, now or later."""
EndTurn = Callable[[], None]
"""Told when all calls of a turn have been recorded."""

_EXPIRED = "the deadline passed before the model could run"


def _no_shadow(served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]) -> None:
    """Copy nothing."""


def _no_features(gathered: Gathered, go: Callable[[Gathered], None]) -> None:
    """Hand on what is complete already."""
    go(gathered)


def _no_end() -> None:
    """Do nothing at the end of a turn."""


class Turns:
    """Computes the requests of one worker, on the event loop but for the calls of `lanes`."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        beat: Beat,
        record: Record,
        shadow: Record = _no_shadow,
        end_turn: EndTurn = _no_end,
    ) -> None:
        """`shadow` is told of every call of a version that has shadows, after its answers have left."""
        self._loop = loop
        self._beat = beat
        self._record = record
        self._shadow = shadow
        self._end_turn = end_turn
        self.enrich: Enrich = _no_features
        self._gathered: dict[ServedVersion, list[Exchange]] = {}
        self.lanes: dict[ServedVersion, Lane] = {}

    def submit(self, exchange: Exchange) -> None:
        """Compute the rows of a request; it is settled with outputs, RunError or DeadlineExceeded."""
        if not self._gathered:
            # Runs when the loop has read every connection that was ready, and before it waits again.
            self._loop.call_soon(self._flush)
        served, rows = exchange.served, exchange.request.rows
        served.rows_waiting += rows if rows < served.rows_at_once else served.rows_at_once
        gathered = self._gathered.get(served)
        if gathered is None:
            self._gathered[served] = [exchange]
        else:
            gathered.append(exchange)

    def close(self, served: ServedVersion) -> None:
        """End the lane of a version that is no longer held; it takes no more requests."""
        lane = self.lanes.pop(served, None)
        if lane is not None:
            lane.close()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, {}
        bound = {served: waiting for served, waiting in gathered.items() if served.features is not None}
        if bound:
            try:
                self.enrich(bound, self._compute)
            except Exception as error:  # the loop's edge, as below
                self._break(bound, error)
            gathered = {served: waiting for served, waiting in gathered.items() if served not in bound}
        if gathered or not bound:
            self._compute(gathered)

    def _compute(self, gathered: Gathered) -> None:
        budget_s = INLINE_LIMIT_S
        for served, exchanges in gathered.items():
            predicted_s = served.seconds(sum(exchange.request.rows for exchange in exchanges))
            if predicted_s > budget_s:
                self._lane(served).add(exchanges)
                continue
            budget_s -= predicted_s
            try:
                self._run_now(served, exchanges)
            except Exception as error:  # the loop's edge: what goes wrong with one answer costs no other
                self._break({served: exchanges}, error)
        self._end_turn()

    def _break(self, gathered: Gathered, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a turn broke", "exception": error})
        for exchanges in gathered.values():
            for exchange in exchanges:
                exchange.fail(error)

    def _run_now(self, served: ServedVersion, exchanges: list[Exchange]) -> None:
        now_ns = time.perf_counter_ns()
        ready = [whole(exchange) for exchange in exchanges if _still_wanted(exchange, now_ns)]
        groups = [ready] if served.batchable else [[piece] for piece in ready]
        for pieces in groups:
            if pieces:
                self._call_now(served, pieces)

    def _call_now(self, served: ServedVersion, pieces: list[Piece]) -> None:
        started_ns = time.perf_counter_ns()
        self._beat.start_run(0, served.beat_name, time.monotonic_ns())
        results: list[Result | Exception]
        try:
            results = compute(served, pieces)
        except Exception as error:  # the loop's edge: nobody else would tell the waiting requests
            results = [error] * len(pieces)
        finally:
            self._beat.end_run(0)
        settle(served, pieces, results, started_ns)
        self._note(served, pieces, results)

    def _note(self, served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]) -> None:
        """Record a call whose requests are settled, and copy it where there are shadows."""
        self._record(served, pieces, results)
        if served.shadows:
            self._loop.call_soon(self._shadow, served, pieces, results)

    def _note_now(
        self, served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]
    ) -> None:
        """Note a call of a lane, which is a turn of its own."""
        self._note(served, pieces, results)
        self._end_turn()

    def _lane(self, served: ServedVersion) -> "Lane":
        if served not in self.lanes:
            self.lanes[served] = Lane(self._loop, self._beat, self._note_now, self._free_number(), served)
        return self.lanes[served]

    def _free_number(self) -> int:
        """A lane of the beat that no other lane writes to; beyond LANES versions the last one is shared."""
        taken = {lane.number for lane in self.lanes.values()}
        return next((number for number in range(1, LANES) if number not in taken), LANES - 1)


class Lane:
    """The thread of one version whose calls are too long for the event loop; one call at a time.

    `busy` while there is one.
    """

    def __init__(
        self, loop: AbstractEventLoop, beat: Beat, record: Record, number: int, served: ServedVersion
    ) -> None:
        self._loop = loop
        self._beat = beat
        self._record = record
        self.number = number
        self._served = served
        self._queue: deque[Exchange] = deque()
        self.busy = False
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"lane-{served.beat_name.decode()}")

    def add(self, exchanges: list[Exchange]) -> None:
        """Queue requests; each is told when its deadline passes, running or not."""
        for exchange in exchanges:
            wait_s = max(0.0, (exchange.deadline_ns - time.perf_counter_ns()) / 1e9)
            exchange.timer = self._loop.call_later(wait_s, exchange.fail, DeadlineExceeded(_EXPIRED))
        self._queue.extend(exchanges)
        if not self.busy:
            self._next()

    def waited_s(self, now_ns: int) -> float:
        """Return how long the next request has waited that nothing is computed of yet, 0 without one."""
        if not self._queue or self._queue[0].rows_done:
            return 0.0
        return (now_ns - self._queue[0].arrived_ns) / 1e9

    def close(self) -> None:
        """Let the thread end once the queue is empty."""
        self._closed = True
        if not self.busy:
            self._thread.shutdown(wait=False)

    def _next(self) -> None:
        pieces = take(self._queue, self._served.rows_per_call, time.perf_counter_ns())
        self.busy = bool(pieces)
        if pieces:
            started_ns = time.perf_counter_ns()
            call = self._loop.run_in_executor(self._thread, self._call, pieces)
            call.add_done_callback(lambda done: self._finish(pieces, done, started_ns))
        elif self._closed:
            self._thread.shutdown(wait=False)

    def _call(self, pieces: list[Piece]) -> list[Result | Exception]:
        self._beat.start_run(self.number, self._served.beat_name, time.monotonic_ns())
        try:
            return compute(self._served, pieces)
        finally:
            self._beat.end_run(self.number)

    def _finish(self, pieces: list[Piece], done: "Future[list[Result | Exception]]", started_ns: int) -> None:
        error = done.exception()
        results: list[Result | Exception] = (
            [RuntimeError(str(error))] * len(pieces) if error is not None else done.result()
        )
        try:
            settle(self._served, pieces, results, started_ns)
            self._record(self._served, pieces, results)
        finally:
            self._next()


def settle(
    served: ServedVersion, pieces: list[Piece], results: list[Result | Exception], started_ns: int
) -> None:
    """Give each request its outputs or its error, and count the call."""
    infer_ns = time.perf_counter_ns() - started_ns
    rows = queue_ns = 0
    for exchange, start, stop in pieces:
        rows += stop - start
        exchange.queue_ns = waited_ns = started_ns - exchange.arrived_ns
        queue_ns += waited_ns
        exchange.infer_ns += infer_ns
    served.observe(rows, infer_ns / 1e9)
    served.counters.executed(rows, infer_ns, queue_ns, time.time_ns() // 1_000_000)
    for piece, result in zip(pieces, results, strict=True):
        if isinstance(result, Exception):
            piece.exchange.fail(result)
        else:
            piece.exchange.complete(*result)


def _still_wanted(exchange: Exchange, now_ns: int) -> bool:
    if exchange.settled:
        return False
    if now_ns < exchange.deadline_ns:
        return True
    exchange.fail(DeadlineExceeded(_EXPIRED))
    return False
