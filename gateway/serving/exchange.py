"""One prediction request from its first byte to its answer. All of this lives as long as the request."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from driftgate.gateway.http.headers import RequestHeaders
from driftgate.gateway.routing.table import NOT_HASHED, Target
from driftgate.gateway.serving.feature_notes import FeatureNotes
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.wire.computed import Computed
from driftgate.gateway.wire.contracts import Contract
from driftgate.gateway.wire.inference import Array, InferenceRequest

Outputs = dict[str, Array]
NO_REQUEST = InferenceRequest({}, 0)


class Answer(NamedTuple):
    """What is sent: see `Exchange.reply`."""

    status: int
    fields: bytes
    body: bytes
    close: bool


class ClientGone(Exception):
    """The client closed its connection before the answer."""


class Exchange:
    """A request in progress; who carries the bytes is for subclasses to say, in `reply`.

    It is settled exactly once, with rows of `computed` (`first` to `last`, None: all) or with an error, and
    then calls `on_settled`. Times are perf_counter_ns, `at_us` is in Unix microseconds. `held` is an answer
    that waits for its records: `records_due` of them are not safe yet, and `unrecorded` says that one never
    will be. `code` is the answer's status, 0 before there is one. `collected_bytes` of its body are there
    while it is still coming in. `features` tells of stored features, once they have completed its rows.
    """

    __slots__ = (
        "_parts",
        "arrived_ns",
        "at_us",
        "bucket",
        "code",
        "collected_bytes",
        "computed",
        "contract",
        "deadline_ns",
        "encode_ns",
        "error",
        "features",
        "first",
        "headers",
        "held",
        "infer_ns",
        "last",
        "on_settled",
        "parse_ns",
        "path",
        "prediction_id",
        "queue_ns",
        "records_due",
        "request",
        "routing_key",
        "rows_done",
        "served",
        "settled",
        "started_ns",
        "submitted",
        "target",
        "timer",
        "unrecorded",
    )

    headers: RequestHeaders
    served: ServedVersion
    contract: Contract
    computed: Computed
    first: int
    last: int | None
    on_settled: "Callable[[Exchange], None]"

    def __init__(self, path: str) -> None:
        self.path = path
        self.prediction_id = ""
        self.request = NO_REQUEST
        self.routing_key = b""
        self.bucket = NOT_HASHED
        self.target: Target[ServedVersion] | None = None
        self.at_us = 0
        self.started_ns = 0
        self.arrived_ns = 0
        self.deadline_ns = 0
        self.parse_ns = 0
        self.queue_ns = 0
        self.infer_ns = 0
        self.encode_ns = 0
        self.rows_done = 0
        self.code = 0
        self.collected_bytes = 0
        self.held: Answer | None = None
        self.records_due = 0
        self.unrecorded = False
        self.features: FeatureNotes | None = None
        self.error: Exception | None = None
        self.submitted = False
        self.settled = False
        self.timer: TimerHandle | None = None
        self._parts: list[Outputs] | None = None

    @property
    def client(self) -> str:
        """The address that the request came from; empty where it is not known."""
        return ""

    def reply(self, status: int, fields: bytes, body: bytes, close: bool) -> None:
        """Send the answer; does nothing if the client is gone.

        `fields` are its header lines as they go on the wire, without the content length. `close` ends the
        connection after it.
        """
        raise NotImplementedError

    def complete(self, computed: Computed, first: int, last: int | None) -> None:
        """Hand over rows of a call (`last` None: all of it); the request's last rows settle the exchange."""
        if self.settled:
            return
        if self._parts is None and self.rows_done == self.request.rows:
            self.computed, self.first, self.last = computed, first, last
            self._settle()
            return
        self._parts = self._parts or []
        self._parts.append({name: array[first:last] for name, array in computed.outputs.items()})
        if self.rows_done == self.request.rows:
            self.computed, self.first, self.last = Computed(self.request.inputs, _join(self._parts)), 0, None
            self._settle()

    def fail(self, error: Exception) -> None:
        """End the exchange with an error, unless it is settled already."""
        if not self.settled:
            self.error = error
            self._settle()

    def _settle(self) -> None:
        self.settled = True
        served, rows = self.served, self.request.rows
        served.rows_waiting -= rows if rows < served.rows_at_once else served.rows_at_once
        if self.timer is not None:
            self.timer.cancel()
        self.on_settled(self)


def _join(parts: list[Outputs]) -> Outputs:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
