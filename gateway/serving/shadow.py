"""Shadow versions in a worker: rows that were answered, computed once more when there is time, or dropped.

Nobody waits for a shadow: it begins after the answer, in a thread of low priority, with a short queue. What
does not fit into that is dropped and counted.
"""

import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from zlib import crc32

from driftgate.gateway.processes.niceness import be_nice
from driftgate.gateway.serving.batch import Piece, Result
from driftgate.gateway.serving.recorder import Recorder, shadow_record
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.state.beat import LANES, SHADOW_MARK, Beat
from driftgate.gateway.state.counters import SHADOW_DROPPED, SHADOW_ROWS
from driftgate.gateway.state.desired import TOTAL_PPM
from driftgate.gateway.wire.inference import Array
from driftgate.models.errors import RunError
from driftgate.monitoring.log.record import RequestRecord

MOST_CALLS = 64
MOST_ROWS = 4096
MOST_BYTES = 64 * 2**20
"""What one shadow may keep waiting; a single call may be larger if nothing else waits."""

Outputs = list[Array]


@dataclass(frozen=True, slots=True)
class CopiedCall:
    """The inputs of one call, the very arrays, and the records of its requests as the shadow's."""

    inputs: Mapping[str, Array]
    requests: list[RequestRecord]
    generation: int
    copied_ns: int

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(request.rows for request in self.requests)

    @property
    def size_bytes(self) -> int:
        """Bytes that its arrays keep in memory, without texts."""
        return sum(array.nbytes for array in self.inputs.values())


class Shadows:
    """The shadows of one worker; for the event loop's thread alone."""

    def __init__(self, loop: AbstractEventLoop, beat: Beat, recorder: Recorder) -> None:
        self._loop = loop
        self._beat = beat
        self._recorder = recorder
        self._lanes: dict[ServedVersion, ShadowLane] = {}

    def copy(self, served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]) -> None:
        """Give the shadows of `served` what it has computed; call it when the answers have left."""
        sampler = crc32(pieces[0].exchange.prediction_id.encode()) * TOTAL_PPM >> 32
        for shadow, share_ppm in served.shadows:
            if sampler < share_ppm:
                lane = self._lane(shadow)
                for call in copied_calls(pieces, results, shadow.batchable):
                    lane.add(call)

    def close(self, served: ServedVersion) -> None:
        """End the lane of a version that is freed."""
        lane = self._lanes.pop(served, None)
        if lane is not None:
            lane.close()

    def _lane(self, shadow: ServedVersion) -> "ShadowLane":
        if shadow not in self._lanes:
            taken = {lane.number for lane in self._lanes.values()}
            # From the end of the beat: the lanes of answers are counted from its beginning.
            number = next((number for number in range(LANES - 1, 0, -1) if number not in taken), 1)
            self._lanes[shadow] = ShadowLane(self._loop, self._beat, self._recorder, number, shadow)
        return self._lanes[shadow]


class ShadowLane:
    """The thread of one shadow; one call at a time."""

    def __init__(
        self, loop: AbstractEventLoop, beat: Beat, recorder: Recorder, number: int, served: ServedVersion
    ) -> None:
        self._loop = loop
        self._beat = beat
        self._recorder = recorder
        self.number = number
        self._served = served
        self._queue: deque[CopiedCall] = deque()
        self._busy = False
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix=f"shadow-{served.beat_name.decode()}", initializer=be_nice
        )

    def add(self, call: CopiedCall) -> None:
        """Queue a call, or drop it if too much waits already."""
        if self._is_full(call):
            self._served.counters.cells[SHADOW_DROPPED] += call.rows
            return
        self._served.loaded.acquire()
        self._queue.append(call)
        if not self._busy:
            self._next()

    def close(self) -> None:
        """Let the thread end; nothing can be queued, for every call holds the version."""
        self._thread.shutdown(wait=False)

    def _is_full(self, call: CopiedCall) -> bool:
        if not self._queue:
            return False
        waiting = [*self._queue, call]
        return (
            len(waiting) > MOST_CALLS
            or sum(one.rows for one in waiting) > MOST_ROWS
            or sum(one.size_bytes for one in waiting) > MOST_BYTES
        )

    def _next(self) -> None:
        self._busy = bool(self._queue)
        if self._busy:
            call = self._queue.popleft()
            started_ns = time.perf_counter_ns()
            computing = self._loop.run_in_executor(self._thread, self._compute, call)
            computing.add_done_callback(lambda done: self._finish(call, done, started_ns))

    def _compute(self, call: CopiedCall) -> Outputs:
        self._beat.start_run(self.number, SHADOW_MARK + self._served.beat_name, time.monotonic_ns())
        try:
            return self._served.loaded.run(call.inputs)
        finally:
            self._beat.end_run(self.number)

    def _finish(self, call: CopiedCall, done: "Future[Outputs]", started_ns: int) -> None:
        infer_ns, queue_ns = time.perf_counter_ns() - started_ns, started_ns - call.copied_ns
        try:
            error = done.exception()
            if error is not None and not isinstance(error, RunError):
                raise error
            outputs = [] if error is not None else done.result()
            self._served.counters.executed(call.rows, infer_ns, queue_ns, time.time_ns() // 1_000_000)
            self._served.counters.cells[SHADOW_ROWS] += call.rows
            for request in call.requests:
                request.infer_ns, request.queue_ns = infer_ns, queue_ns
                request.code = 200 if error is None else 500
            named = dict(zip(self._served.view.output_names, outputs, strict=False))
            self._recorder.shadow(self._served, call.generation, call.requests, call.inputs, named)
        finally:
            self._served.loaded.release()
            self._next()


def copied_calls(
    pieces: list[Piece], results: list[Result | Exception], together: bool
) -> Iterator[CopiedCall]:
    """Yield what a shadow is to compute of one call; rows of several requests only if it may be `together`.

    What the answering version could not compute is left out.
    """
    now_ns = time.perf_counter_ns()
    first = results[0]
    if together and not isinstance(first, Exception) and first.last is not None:
        yield CopiedCall(
            first.computed.inputs, list(map(shadow_record, pieces)), _generation(pieces[0]), now_ns
        )
        return
    for piece, result in zip(pieces, results, strict=True):
        if not isinstance(result, Exception):
            yield CopiedCall(piece.feeds, [shadow_record(piece)], _generation(piece), now_ns)


def _generation(piece: Piece) -> int:
    target = piece.exchange.target
    return target.generation if target else 0
