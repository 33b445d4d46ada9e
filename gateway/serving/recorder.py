"""From the turn to the prediction log: a record per call of a model and per request that was never computed.

Where the log promises more than its best, answers wait here until their records are as safe as promised.
"""

import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from driftgate.gateway.logs import Logger
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.routing.table import NOT_HASHED
from driftgate.gateway.serving.batch import Piece, Result
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.recording import unrouted
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.settings import LogSettings
from driftgate.gateway.wire.inference import Array
from driftgate.monitoring.log.record import RecordSink, RequestRecord, TurnRecord

Arrays = Mapping[str, Array]
SHADOW = "shadow"
"""The arm of what a shadow computed."""
Release = Callable[[Exchange, bool], None]


class Recorder:
    """Records the requests of one worker in `sink` (None: nowhere); for the event loop's thread alone.

    `release` is told of each held answer whether it may be sent or must be refused. One of a request that was
    cut into several calls may be sent only if every part is recorded.
    """

    def __init__(
        self, sink: RecordSink | None, settings: LogSettings, loop: AbstractEventLoop, logger: Logger
    ) -> None:
        self._sink = sink
        self._loop = loop
        self._logger = logger
        self._failures = Repeats()
        self._waits = sink is not None and settings.mode != "async"
        self._writes = settings.mode == "written"
        self._write_due = False
        self._thread = threading.get_ident()
        self.holds = self._waits or (sink is not None and settings.when_full == "refuse")
        self._unrouted = unrouted()
        self.release: Release = lambda exchange, recorded: None

    @property
    def refusing(self) -> bool:
        """Whether requests are to be refused before they are computed, because they cannot be recorded."""
        return self.holds and self._sink is not None and self._sink.refusing

    def call(self, served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]) -> None:
        """Record what one turn computed with one version; its requests have been answered or are held."""
        if self._sink is None:
            return
        try:
            self._call(self._sink, pieces, results)
        except Exception as error:  # the edge: what cannot be recorded keeps no answer waiting for ever
            if self._failures.is_news(repr(error), time.monotonic()):
                self._logger.error("recording_failed", error=type(error).__name__, reason=str(error))
            self._let_go([piece.exchange for piece in pieces], False)

    def end_turn(self) -> None:
        """Write what one turn of the loop has recorded, where answers wait for one write."""
        if self._write_due and self._sink is not None:
            self._write_due = False
            self._sink.flush()

    def _call(self, sink: RecordSink, pieces: list[Piece], results: list[Result | Exception]) -> None:
        first = results[0]
        if not isinstance(first, Exception) and first.last is not None:
            inputs = first.computed.inputs
            if _completed_as_one(pieces, inputs) or _read_alike(pieces):
                self._append(sink, pieces, inputs, first.computed.outputs)
                return
        for piece, result in zip(pieces, results, strict=True):
            outputs = {} if isinstance(result, Exception) else _own_rows(result)
            self._append(sink, [piece], piece.feeds, outputs)

    def refused(self, exchange: Exchange) -> None:
        """Record a request that was answered without being computed."""
        if self._sink is not None:
            target = exchange.target
            version = target.version.recorded if target else self._unrouted
            generation = target.generation if target else 0
            self._sink.append(TurnRecord(version, generation, [_record(Piece(exchange, 0, 0))]))

    def shadow(
        self,
        served: ServedVersion,
        generation: int,
        requests: list[RequestRecord],
        inputs: Arrays,
        outputs: Arrays,
    ) -> None:
        """Record what a shadow computed, or (without outputs) could not."""
        if self._sink is None:
            return
        if not served.view.batched:
            inputs, outputs = _as_one_row(inputs), _as_one_row(outputs)
        self._sink.append(TurnRecord(served.recorded, generation, requests, inputs, outputs))
        self._write_due = self._writes
        self.end_turn()

    def _append(self, sink: RecordSink, pieces: list[Piece], inputs: Arrays, outputs: Arrays) -> None:
        exchange = pieces[0].exchange
        if not exchange.served.view.batched:
            inputs, outputs = _as_one_row(inputs), _as_one_row(outputs)
        generation = exchange.target.generation if exchange.target else 0
        records = [_record(piece) for piece in pieces]
        turn = TurnRecord(exchange.served.recorded, generation, records, inputs, outputs)
        if exchange.features is not None:
            turn.snapshots = exchange.features.rows.snapshots
            turn.feature_status, turn.event_times = _of_stored_features(pieces, inputs)
        if not self.holds:
            sink.append(turn)
            return
        exchanges = [piece.exchange for piece in pieces]
        for exchange in exchanges:
            exchange.records_due += 1
        if not self._waits:
            self._let_go(exchanges, sink.append(turn))
        elif not sink.append(turn, partial(self._tell, exchanges)):
            self._let_go(exchanges, False)
        elif self._writes:
            self._write_due = True

    def _tell(self, exchanges: list[Exchange], recorded: bool) -> None:
        """Called by the loop's thread or the log's own."""
        if threading.get_ident() == self._thread:
            self._let_go(exchanges, recorded)
        else:
            self._loop.call_soon_threadsafe(self._let_go, exchanges, recorded)

    def _let_go(self, exchanges: list[Exchange], recorded: bool) -> None:
        """Note what became of the records of one call, and release the answers that waited for them last."""
        for exchange in exchanges:
            exchange.records_due -= 1
            exchange.unrecorded |= not recorded
            if exchange.held is not None and (exchange.unrecorded or not exchange.records_due):
                self.release(exchange, not exchange.unrecorded)


def _record(piece: Piece) -> RequestRecord:
    exchange, start, stop = piece
    target, headers, request = exchange.target, exchange.headers, exchange.request
    return RequestRecord(
        exchange.prediction_id,
        stop - start,
        exchange.at_us,
        request.id if request else "",
        start,
        target.arm if target else "",
        target.propensity if target else None,
        exchange.bucket,
        headers.purpose,
        exchange.routing_key or headers.routing_key or (request.sequence_id.encode() if request else b""),
        exchange.features.entity_key if exchange.features is not None else b"",
        headers.idempotency_key,
        headers.traceparent,
        exchange.parse_ns,
        exchange.queue_ns,
        exchange.infer_ns,
        exchange.encode_ns,
        exchange.code,
    )


def _completed_as_one(pieces: list[Piece], inputs: Arrays) -> bool:
    """Whether these inputs are just the rows that stored features completed together."""
    features = pieces[0].exchange.features
    return features is not None and features.rows.inputs is inputs


def _read_alike(pieces: list[Piece]) -> bool:
    """Whether the features of all these rows, if they have any, are of the same snapshots."""
    features = pieces[0].exchange.features
    if features is None:
        return True
    snapshots = features.rows.snapshots
    others = (piece.exchange.features for piece in pieces)
    return all(other is not None and other.rows.snapshots == snapshots for other in others)


def _own_rows(result: Result) -> Arrays:
    outputs = result.computed.outputs
    if result.last is None:
        return outputs
    return {name: array[result.first : result.last] for name, array in outputs.items()}


def _of_stored_features(pieces: list[Piece], inputs: Arrays) -> tuple[Array, Array]:
    """Return the statuses of the stored features of the rows of one call, and the times of their events."""
    features = pieces[0].exchange.features
    if features is not None and features.rows.inputs is inputs:
        return features.rows.status, features.rows.event_times
    parts = [
        (notes.part(notes.rows.status, start, stop), notes.part(notes.rows.event_times, start, stop))
        for exchange, start, stop in pieces
        if (notes := exchange.features) is not None
    ]
    return np.concatenate([status for status, _ in parts]), np.concatenate([times for _, times in parts])


def shadow_record(piece: Piece) -> RequestRecord:
    """Return the record of a request's part as that of a shadow, which is still to compute it."""
    record = _record(piece)
    record.arm, record.propensity, record.bucket = SHADOW, None, NOT_HASHED
    record.parse_ns = record.encode_ns = record.code = 0
    return record


def _as_one_row(arrays: Arrays) -> Arrays:
    return {name: array[np.newaxis] for name, array in arrays.items()}
