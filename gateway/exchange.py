"""One prediction request from its first byte to its answer. All of this lives as long as the request."""

from asyncio import TimerHandle
from collections.abc import Callable, Sequence

import numpy as np

from driftgate.gateway.answers import Header
from driftgate.gateway.contracts import Contract
from driftgate.gateway.headers import RequestHeaders
from driftgate.gateway.inference import Array, InferenceRequest
from driftgate.gateway.routing import Target
from driftgate.gateway.served import ServedVersion

Outputs = list[Array]


class ClientGone(Exception):
    """The client closed its connection before the answer."""


class Exchange:
    """A request in progress; who carries the bytes is for subclasses to say, in `reply`.

    It is settled exactly once, with outputs or with an error, and then calls `on_settled`. Times are
    perf_counter_ns.
    """

    __slots__ = (
        "_parts",
        "arrived_ns",
        "contract",
        "deadline_ns",
        "encode_ns",
        "error",
        "headers",
        "infer_ns",
        "on_settled",
        "outputs",
        "parse_ns",
        "path",
        "prediction_id",
        "request",
        "rows_done",
        "served",
        "settled",
        "started_ns",
        "submitted",
        "target",
        "timer",
    )

    request: InferenceRequest
    served: ServedVersion
    contract: Contract
    outputs: Outputs
    on_settled: "Callable[[Exchange], None]"

    def __init__(self, path: str) -> None:
        self.path = path
        self.prediction_id = ""
        self.headers: RequestHeaders | None = None
        self.target: Target[ServedVersion] | None = None
        self.started_ns = 0
        self.arrived_ns = 0
        self.deadline_ns = 0
        self.parse_ns = 0
        self.infer_ns = 0
        self.encode_ns = 0
        self.rows_done = 0
        self.error: Exception | None = None
        self.submitted = False
        self.settled = False
        self.timer: TimerHandle | None = None
        self._parts: list[Outputs] | None = None

    def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send the answer; does nothing if the client is gone."""
        raise NotImplementedError

    def complete(self, outputs: Outputs) -> None:
        """Hand over the outputs of some rows; those of the last rows settle the exchange."""
        if self.settled:
            return
        if self._parts is not None:
            self._parts.append(outputs)
        if self.rows_done < self.request.rows:
            self._parts = self._parts or [outputs]
            return
        self.outputs = outputs if self._parts is None else _join(self._parts)
        self._settle()

    def fail(self, error: Exception) -> None:
        """End the exchange with an error, unless it is settled already."""
        if not self.settled:
            self.error = error
            self._settle()

    def _settle(self) -> None:
        self.settled = True
        if self.timer is not None:
            self.timer.cancel()
        self.on_settled(self)


def _join(parts: list[Outputs]) -> Outputs:
    return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
