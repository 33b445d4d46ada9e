"""What one call of a model computes: rows of several requests, put together and taken apart again. Pure."""

from collections import deque
from typing import NamedTuple

import numpy as np

from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_notes import CompletedRows
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.wire.computed import Computed
from driftgate.gateway.wire.inference import Array
from driftgate.models.errors import RunError


class Piece(NamedTuple):
    """Rows `start` to `stop` of an exchange's request: what of it takes part in one call."""

    exchange: Exchange
    start: int
    stop: int

    @property
    def feeds(self) -> dict[str, Array]:
        """The inputs of these rows."""
        request, features = self.exchange.request, self.exchange.features
        if features is not None:
            return features.inputs(self.start, self.stop)
        if self.stop - self.start == request.rows:
            return request.inputs
        return {name: array[self.start : self.stop] for name, array in request.inputs.items()}


def whole(exchange: Exchange) -> Piece:
    """Return the piece that is all of a request."""
    exchange.rows_done = rows = exchange.request.rows
    return Piece(exchange, 0, rows)


def completed_together(pieces: list[Piece]) -> CompletedRows | None:
    """Return the rows that stored features completed, where the pieces are just those, in their order."""
    notes = pieces[0].exchange.features
    if notes is None:
        return None
    rows, at = notes.rows, 0
    for exchange, start, stop in pieces:
        notes = exchange.features
        if notes is None or notes.rows is not rows or notes.first + start != at:
            return None
        at = notes.first + stop
    return rows if at == len(rows.status) else None


def take(queue: deque[Exchange], rows_limit: int, now_ns: int) -> list[Piece]:
    """Remove from the queue what one call may compute, at most `rows_limit` rows.

    A request that does not fit is cut; its rest goes to the end, so that it cannot starve the others. Where
    rows cannot be mixed, the piece is one whole request. Nothing of a request is computed once it is settled
    or its deadline has passed, of which its timer tells it.
    """
    pieces: list[Piece] = []
    room = rows_limit
    for _ in range(len(queue)):
        exchange = queue.popleft()
        if exchange.settled or exchange.deadline_ns <= now_ns:
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


class Result(NamedTuple):
    """Where the rows of one piece are: rows `first` to `last` of a call, or (None) all of it."""

    computed: Computed
    first: int
    last: int | None


def compute(served: ServedVersion, pieces: list[Piece]) -> list[Result | Exception]:
    """Run the pieces in one call and return where each one's rows are; a bad one fails alone."""
    if len(pieces) == 1:
        return [_compute_one(served, pieces[0])]
    try:
        completed = completed_together(pieces)
        together = _together(pieces) if completed is None else completed.inputs
        return _scatter(_run(served, together), pieces)
    except RunError:
        return [_compute_one(served, piece) for piece in pieces]


def _together(pieces: list[Piece]) -> dict[str, Array]:
    feeds = [piece.feeds for piece in pieces]
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def _compute_one(served: ServedVersion, piece: Piece) -> Result | Exception:
    try:
        return Result(_run(served, piece.feeds), 0, None)
    except RunError as error:
        return error


def _run(served: ServedVersion, feeds: dict[str, Array]) -> Computed:
    return Computed(feeds, dict(zip(served.view.output_names, served.loaded.run(feeds), strict=True)))


def _scatter(computed: Computed, pieces: list[Piece]) -> list[Result | Exception]:
    total = sum(stop - start for _, start, stop in pieces)
    if any(output.shape[0] != total for output in computed.outputs.values()):
        raise RunError("the model does not give one row of output for each row of input")
    results: list[Result | Exception] = []
    first = 0
    for _, start, stop in pieces:
        last = first + stop - start
        results.append(Result(computed, first, last))
        first = last
    return results
