"""The turn: requests that became ready in one turn of the event loop are computed together.

Turns that are predicted to be short run on the loop; the others go to the lane of their version, a thread,
and gather there while it is busy. No request ever waits for a timer, and a lone one runs at once.
"""

import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from driftgate.gateway.batch import Outputs, Pending, Piece, compute, take, whole
from driftgate.gateway.beat import LANES, Beat
from driftgate.gateway.errors import DeadlineExceeded
from driftgate.gateway.inference import InferenceRequest
from driftgate.gateway.served import ServedVersion

INLINE_LIMIT_S = 0.0005
_EXPIRED = "the deadline passed before the model could run"


class Turns:
    """Computes the requests of one worker. Everything here runs on the event loop, but for the lanes' calls.

    `in_flight` counts the requests that the protocol has begun and not yet answered.
    """

    def __init__(self, loop: AbstractEventLoop, beat: Beat, in_flight: Callable[[], int]) -> None:
        self._loop = loop
        self._beat = beat
        self._in_flight = in_flight
        self._gathered: dict[ServedVersion, list[Pending]] = {}
        self._lanes: dict[ServedVersion, Lane] = {}

    async def infer(self, served: ServedVersion, request: InferenceRequest, deadline_ns: int) -> Outputs:
        """Return the outputs of the request's rows, in signature order.

        Raises RunError if the model refuses them and DeadlineExceeded if `deadline_ns` came first.
        """
        pending = Pending(request, served, time.perf_counter_ns(), deadline_ns, self._loop.create_future())
        if self._in_flight() <= 1 and served.seconds(request.rows) <= INLINE_LIMIT_S:
            self._run_now(served, [pending])
        else:
            if not self._gathered:
                self._loop.call_soon(self._flush)
            self._gathered.setdefault(served, []).append(pending)
        return await pending.future

    def close(self, served: ServedVersion) -> None:
        """End the lane of a version that is no longer held; nothing of it is in flight."""
        lane = self._lanes.pop(served, None)
        if lane is not None:
            lane.close()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, {}
        budget_s = INLINE_LIMIT_S
        for served, pendings in gathered.items():
            predicted_s = served.seconds(sum(pending.request.rows for pending in pendings))
            if predicted_s <= budget_s:
                budget_s -= predicted_s
                self._run_now(served, pendings)
            else:
                self._lane(served).add(pendings)

    def _run_now(self, served: ServedVersion, pendings: list[Pending]) -> None:
        ready = [whole(pending) for pending in pendings if _still_wanted(pending)]
        groups = [ready] if served.batchable else [[piece] for piece in ready]
        for pieces in groups:
            if pieces:
                self._call_now(served, pieces)

    def _call_now(self, served: ServedVersion, pieces: list[Piece]) -> None:
        started_ns = time.perf_counter_ns()
        self._beat.start_run(0, served.beat_name, time.monotonic_ns())
        try:
            settle(served, pieces, compute(served, pieces), started_ns)
        except Exception as error:  # the loop's edge: nobody else would tell the waiting requests
            for piece in pieces:
                piece.pending.fail(error)
        finally:
            self._beat.end_run(0)

    def _lane(self, served: ServedVersion) -> "Lane":
        if served not in self._lanes:
            number = 1 + len(self._lanes) % (LANES - 1)
            self._lanes[served] = Lane(self._loop, self._beat, number, served)
        return self._lanes[served]


class Lane:
    """The thread of one version whose calls are too long for the event loop; one call at a time."""

    def __init__(self, loop: AbstractEventLoop, beat: Beat, number: int, served: ServedVersion) -> None:
        self._loop = loop
        self._beat = beat
        self._number = number
        self._served = served
        self._queue: deque[Pending] = deque()
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"lane-{served.beat_name.decode()}")

    def add(self, pendings: list[Pending]) -> None:
        """Queue requests; each is told when its deadline passes, running or not."""
        for pending in pendings:
            wait_s = max(0.0, (pending.deadline_ns - time.perf_counter_ns()) / 1e9)
            timer = self._loop.call_later(wait_s, pending.fail, DeadlineExceeded(_EXPIRED))
            pending.future.add_done_callback(partial(_cancel, timer))
        self._queue.extend(pendings)
        if not self._busy:
            self._next()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _next(self) -> None:
        pieces = take(self._queue, self._served.rows_per_call)
        self._busy = bool(pieces)
        if pieces:
            started_ns = time.perf_counter_ns()
            call = self._loop.run_in_executor(self._thread, self._call, pieces)
            call.add_done_callback(lambda done: self._finish(pieces, done, started_ns))

    def _call(self, pieces: list[Piece]) -> list[Outputs | Exception]:
        self._beat.start_run(self._number, self._served.beat_name, time.monotonic_ns())
        try:
            return compute(self._served, pieces)
        finally:
            self._beat.end_run(self._number)

    def _finish(
        self, pieces: list[Piece], done: "Future[list[Outputs | Exception]]", started_ns: int
    ) -> None:
        error = done.exception()
        results: list[Outputs | Exception] = (
            done.result() if error is None else [RuntimeError(str(error))] * len(pieces)
        )
        settle(self._served, pieces, results, started_ns)
        self._next()


def settle(
    served: ServedVersion, pieces: list[Piece], results: list[Outputs | Exception], started_ns: int
) -> None:
    """Give each request its outputs or its error, and count the call."""
    ended_ns = time.perf_counter_ns()
    rows = sum(piece.stop - piece.start for piece in pieces)
    queue_ns = sum(started_ns - piece.pending.arrived_ns for piece in pieces)
    served.counters.executed(rows, ended_ns - started_ns, queue_ns, time.time_ns() // 1_000_000)
    for piece, result in zip(pieces, results, strict=True):
        if isinstance(result, Exception):
            piece.pending.fail(result)
        else:
            piece.pending.complete(result)


def _cancel(timer: TimerHandle, done: "Future[Outputs]") -> None:
    timer.cancel()


def _still_wanted(pending: Pending) -> bool:
    if pending.future.done():
        return False
    if time.perf_counter_ns() < pending.deadline_ns:
        return True
    pending.fail(DeadlineExceeded(_EXPIRED))
    return False
