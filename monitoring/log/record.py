"""What the turn hands to the log: the records of one call of a model, and the sink that takes them.

Everything here is made on the event loop, so it copies and converts nothing; that is the writer's work.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import numpy as np

from driftgate.monitoring.log.policy import ModelLogPolicy

Array = np.ndarray[Any, np.dtype[Any]]
REQUEST_BYTES = 512
TEXT_FACTOR = 16
"""Bytes of a text of average length for each byte of the pointer to it."""
OnDurable = Callable[[bool], None]
"""Told from any thread, once: True when the records are as safe as the mode promises (or were dropped under
`when_full = "drop"`), False when the request must be refused because they could not be recorded."""


class TensorColumns(msgspec.Struct, frozen=True):
    """One input or output as the log shows it.

    `columns` name the elements of its rows, in order; without them a tensor of one element per row is a
    column of its own name, a wider one a list. `role` is the output's role in the model's task.
    """

    name: str
    columns: tuple[str, ...] = ()
    role: str = ""


class RecordedVersion(msgspec.Struct, frozen=True, eq=False):
    """A model version as the log knows it, made once when it is loaded and whenever its settings change.

    Turns that share this very object share blocks. Version 0 is for requests that reached no version.
    """

    model: str
    version: int
    inputs: tuple[TensorColumns, ...] = ()
    outputs: tuple[TensorColumns, ...] = ()
    policy: ModelLogPolicy = ModelLogPolicy()
    features: tuple[str, ...] = ()
    """Names of the stored features whose statuses are recorded."""
    views: tuple[str, ...] = ()
    """Names of the feature views whose event times are recorded."""
    filled: tuple[str, ...] = ()
    """Names of the columns that stored features fill."""
    has_texts: bool = True
    """Whether any array may hold texts; False saves looking."""


class RequestRecord(msgspec.Struct, gc=False):
    """One request's part in one call. Filled in until it is appended, then left alone.

    `prediction_id` is a UUID as text. `first_row` is the place of the part's first row in its request.
    `arrived_us` is in Unix microseconds. `propensity` is None where nothing was randomised, `bucket` is -1
    where no routing key was hashed. The keys are stored as keyed hashes only. `code` is the status the client
    got; 0 says that it was not known yet, as in all but the last part of a request that was cut into several
    calls.
    """

    prediction_id: str
    rows: int
    arrived_us: int
    client_id: str = ""
    first_row: int = 0
    arm: str = ""
    propensity: float | None = None
    bucket: int = -1
    purpose: str = "live"
    routing_key: bytes = b""
    entity_key: bytes = b""
    idempotency_key: str = ""
    traceparent: str = ""
    parse_ns: int = 0
    queue_ns: int = 0
    infer_ns: int = 0
    encode_ns: int = 0
    code: int = 0


class TurnRecord(msgspec.Struct):
    """One call of a model: arrays over the rows of all its requests, in the order of `requests`.

    The first dimension of every array counts rows. The arrays belong to the log from `append` on: nobody
    writes to them any more. `outputs` is empty when the call failed; `inputs` too for requests that were
    never computed, such as malformed ones. Arrays of text hold `str` or `bytes`. `feature_status` is
    rows x features of small codes, `event_times` int64 rows x views (Unix microseconds, 0: nothing usable was
    written), or None. `snapshots` are the numbers of the feature snapshots that were read, by view, the same
    for all rows.
    `recorded_us` (Unix microseconds) is set by the sink: windows and watermarks speak of this time.
    """

    version: RecordedVersion
    generation: int
    requests: list[RequestRecord]
    inputs: Mapping[str, Array] = {}
    outputs: Mapping[str, Array] = {}
    feature_status: Array | None = None
    event_times: Array | None = None
    snapshots: tuple[tuple[str, int], ...] = ()
    recorded_us: int = 0

    @property
    def rows(self) -> int:
        """Rows in the log: a request without rows has one, which says that it failed."""
        for array in self.inputs.values():
            return len(array)
        return len(self.requests)

    @property
    def size_bytes(self) -> int:
        """Bytes that the arrays keep in memory, texts estimated, and some for each request."""
        size = REQUEST_BYTES * len(self.requests)
        has_texts = self.version.has_texts
        for arrays in (self.inputs, self.outputs):
            for array in arrays.values():
                size += array.nbytes * TEXT_FACTOR if has_texts and array.dtype.hasobject else array.nbytes
        return size


class RecordSink(Protocol):
    """Where turns are recorded. All calls come from one thread, the event loop's."""

    @property
    def refusing(self) -> bool:
        """Whether requests are to be refused before they are computed, because they cannot be recorded."""

    def append(self, turn: TurnRecord, on_durable: OnDurable | None = None) -> bool:
        """Take the records of one call; False: its requests must be refused, and nobody is told."""

    def flush(self) -> None:
        """Write what has been taken, or see to it that a thread does; whoever waits for it is told then."""
