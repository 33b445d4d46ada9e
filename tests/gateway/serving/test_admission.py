"""Who is let in: few always, many only as long as they will not wait for too long."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from driftgate.gateway.http.headers import RequestHeaders
from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.admission import SHORT_QUEUE, Admission
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.serving.turn import Turns
from driftgate.gateway.state.beat import Beat
from driftgate.gateway.state.counters import CounterFile
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.models.run.loaded import LoadedVersion, Trial
from driftgate.models.run.runtime import Session

from harness.protocol import manifest_of

FAR_S = 600
NOT_YET_MS = -60_000
"""Clocks of a busy machine have no say then."""


class Gate:
    """The in-memory twin of a session: computes nothing until it is opened."""

    def __init__(self) -> None:
        self.signature = manifest_of().signature
        self.opened = threading.Event()

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Return the input, once it may."""
        self.opened.wait(10)
        return [feeds["x"]]


class Asked(Exchange):
    """A request of so many rows that arrived so long ago."""

    __slots__ = ("settled_soon",)

    def __init__(self, served: ServedVersion, rows: int, waited_ms: int) -> None:
        super().__init__("/")
        self.request = InferenceRequest({"x": np.zeros((rows, 4), "<f4")}, rows)
        self.served = served
        self.arrived_ns = time.perf_counter_ns() - waited_ms * 1_000_000
        self.deadline_ns = self.arrived_ns + FAR_S * 10**9
        self.settled_soon: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_settled = lambda _: self._settled()

    def _settled(self) -> None:
        self.served.loaded.release()
        self.settled_soon.set_result(None)


def full_after(
    path: Path, requests: list[int], seconds_per_row: float, headers: RequestHeaders, waited_ms: int
) -> bool:
    """Whether one more request is refused when so many, with so many rows, are in flight already."""
    gate = Gate()
    trial = Trial(manifest_of(), "0" * 64, cast(Session, gate), {1: seconds_per_row}, 0.0)
    served = ServedVersion(LoadedVersion(trial), CounterFile(path / "counters").of("m", "1"))

    async def ask() -> bool:
        turns = Turns(asyncio.get_running_loop(), Beat.create(path / "beat", "b", 1, 1), lambda *call: None)
        admission = Admission(turns, 0.04, Logger("test"))
        asked = [Asked(served, rows, waited_ms) for rows in requests]
        for request in asked:
            served.loaded.acquire()
            turns.submit(request)
        await asyncio.sleep(0)
        full = admission.is_full(served, headers)
        gate.opened.set()
        await asyncio.gather(*(request.settled_soon for request in asked))
        assert served.rows_waiting == 0
        return full

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("requests", "seconds_per_row", "timeout_ms", "full"),
    [
        ([1] * (SHORT_QUEUE - 1), 1.0, None, False),
        ([1] * SHORT_QUEUE, 1.0, None, True),
        ([1] * 39, 0.001, None, False),
        ([1] * 42, 0.001, None, True),
        ([1] * 20, 0.001, 10.0, True),
        ([1] * 20, 0.001, 30.0, False),
        ([1] * 20, 0.001, 60_000.0, False),
        ([10_000] * (SHORT_QUEUE - 1), 0.001, None, False),
        ([10_000, *[1] * 17], 0.001, None, False),
        ([2] * 21, 0.001, None, True),
    ],
)
def test_who_is_let_in(
    tmp_path: Path, requests: list[int], seconds_per_row: float, timeout_ms: float | None, full: bool
) -> None:
    """A short queue is never full, a long one by its predicted wait or the deadline."""
    headers = RequestHeaders(timeout_ms=timeout_ms)
    assert full_after(tmp_path, requests, seconds_per_row, headers, NOT_YET_MS) is full


def test_who_waits_for_longer_than_predicted_counts(tmp_path: Path) -> None:
    """Where calls take longer than they should, the time that others have waited already closes the queue."""
    assert full_after(tmp_path, [1] * 30, 0.001, RequestHeaders(), waited_ms=50)
