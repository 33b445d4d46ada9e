"""What one call of a model computes: rows of several requests, put together and taken apart again. Pure."""

from asyncio import Future
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from driftgate.gateway.inference import Array, InferenceRequest
from driftgate.gateway.served import ServedVersion
from driftgate.models.errors import RunError

Outputs = list[Array]


@dataclass(slots=True, eq=False)
class Pending:
    """A request whose rows are still to be computed. Times are perf_counter_ns; `deadline_ns` ends it."""

    request: InferenceRequest
    served: ServedVersion
    arrived_ns: int
    deadline_ns: int
    future: "Future[Outputs]"
    parts: list[Outputs] = field(default_factory=list)
    rows_done: int = 0

    def complete(self, outputs: Outputs) -> None:
        """Hand the outputs of some rows over; the last ones settle the future."""
        self.parts.append(outputs)
        if self.rows_done == self.request.rows and not self.future.done():
            self.future.set_result(self.parts[0] if len(self.parts) == 1 else _join(self.parts))

    def fail(self, error: Exception) -> None:
        """End the request with an error, unless it has ended already."""
        if not self.future.done():
            self.future.set_exception(error)


class Piece(NamedTuple):
    """Rows `start` to `stop` of a pending request: what of it takes part in one call."""

    pending: Pending
    start: int
    stop: int

    @property
    def feeds(self) -> dict[str, Array]:
        """The inputs of these rows."""
        inputs = self.pending.request.inputs
        if self.stop - self.start == self.pending.request.rows:
            return inputs
        return {name: array[self.start : self.stop] for name, array in inputs.items()}


def whole(pending: Pending) -> Piece:
    """Return the piece that is all of a request."""
    pending.rows_done = pending.request.rows
    return Piece(pending, 0, pending.request.rows)


def take(queue: deque[Pending], rows_limit: int) -> list[Piece]:
    """Remove from the queue what one call may compute, at most `rows_limit` rows and at least one piece.

    A request that does not fit is cut; its rest goes to the end, so that it cannot starve the others.
    """
    pieces: list[Piece] = []
    room = rows_limit
    for _ in range(len(queue)):
        if room <= 0:
            break
        pending = queue.popleft()
        if pending.future.done():
            continue
        if not pending.served.batchable:
            return [*pieces, whole(pending)] if not pieces else _put_back(queue, pending, pieces)
        start = pending.rows_done
        stop = min(pending.request.rows, start + room)
        pending.rows_done = stop
        room -= stop - start
        pieces.append(Piece(pending, start, stop))
        if stop < pending.request.rows:
            queue.append(pending)
    return pieces


def _put_back(queue: deque[Pending], pending: Pending, pieces: list[Piece]) -> list[Piece]:
    queue.appendleft(pending)
    return pieces


def compute(served: ServedVersion, pieces: list[Piece]) -> list[Outputs | Exception]:
    """Run the pieces in one call and return the outputs of each; one that cannot be computed fails alone."""
    if len(pieces) == 1:
        return [_compute_one(served, pieces[0])]
    names = pieces[0].feeds
    try:
        feeds = {name: np.concatenate([piece.feeds[name] for piece in pieces]) for name in names}
        outputs = served.loaded.run(feeds)
        return _scatter(outputs, pieces)
    except RunError:
        return [_compute_one(served, piece) for piece in pieces]


def _compute_one(served: ServedVersion, piece: Piece) -> Outputs | Exception:
    try:
        return served.loaded.run(piece.feeds)
    except RunError as error:
        return error


def _join(parts: list[Outputs]) -> Outputs:
    return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def _scatter(outputs: Outputs, pieces: list[Piece]) -> list[Outputs | Exception]:
    scattered: list[Outputs | Exception] = []
    start = 0
    total = sum(piece.stop - piece.start for piece in pieces)
    if any(output.shape[0] != total for output in outputs):
        raise RunError("the model does not give one row of output for each row of input")
    for piece in pieces:
        stop = start + piece.stop - piece.start
        scattered.append([output[start:stop] for output in outputs])
        start = stop
    return scattered
