"""What one call of a model computes: rows of several requests, put together and taken apart again. Pure."""

from collections import deque
from typing import NamedTuple

import numpy as np

from driftgate.gateway.exchange import Exchange, Outputs
from driftgate.gateway.inference import Array
from driftgate.gateway.served import ServedVersion
from driftgate.models.errors import RunError


class Piece(NamedTuple):
    """Rows `start` to `stop` of an exchange's request: what of it takes part in one call."""

    exchange: Exchange
    start: int
    stop: int

    @property
    def feeds(self) -> dict[str, Array]:
        """The inputs of these rows."""
        request = self.exchange.request
        if self.stop - self.start == request.rows:
            return request.inputs
        return {name: array[self.start : self.stop] for name, array in request.inputs.items()}


def whole(exchange: Exchange) -> Piece:
    """Return the piece that is all of a request."""
    exchange.rows_done = rows = exchange.request.rows
    return Piece(exchange, 0, rows)


def take(queue: deque[Exchange], rows_limit: int) -> list[Piece]:
    """Remove from the queue what one call may compute, at most `rows_limit` rows and at least one piece.

    A request that does not fit is cut; its rest goes to the end, so that it cannot starve the others. Where
    rows cannot be mixed, the piece is one whole request.
    """
    pieces: list[Piece] = []
    room = rows_limit
    for _ in range(len(queue)):
        exchange = queue.popleft()
        if exchange.settled:
            continue
        if not exchange.served.batchable:
            return [whole(exchange)]
        start = exchange.rows_done
        stop = exchange.rows_done = min(exchange.request.rows, start + room)
        room -= stop - start
        pieces.append(Piece(exchange, start, stop))
        if stop < exchange.request.rows:
            queue.append(exchange)
        if room <= 0:
            break
    return pieces


def compute(served: ServedVersion, pieces: list[Piece]) -> list[Outputs | Exception]:
    """Run the pieces in one call and return the outputs of each; one that cannot be computed fails alone."""
    if len(pieces) == 1:
        return [_compute_one(served, pieces[0])]
    feeds = [piece.feeds for piece in pieces]
    try:
        together = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        return _scatter(served.loaded.run(together), pieces)
    except RunError:
        return [_compute_one(served, piece) for piece in pieces]


def _compute_one(served: ServedVersion, piece: Piece) -> Outputs | Exception:
    try:
        return served.loaded.run(piece.feeds)
    except RunError as error:
        return error


def _scatter(outputs: Outputs, pieces: list[Piece]) -> list[Outputs | Exception]:
    total = sum(stop - start for _, start, stop in pieces)
    if any(output.shape[0] != total for output in outputs):
        raise RunError("the model does not give one row of output for each row of input")
    scattered: list[Outputs | Exception] = []
    first = 0
    for _, start, stop in pieces:
        last = first + stop - start
        scattered.append([output[first:last] for output in outputs])
        first = last
    return scattered
