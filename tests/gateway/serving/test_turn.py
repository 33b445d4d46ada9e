"""Turns: what is computed together, what is not, and that nobody pays for a neighbour."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from driftgate.gateway.errors import DeadlineExceeded
from driftgate.gateway.serving.batch import Piece, Result
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.serving.turn import Record, Turns
from driftgate.gateway.state.beat import Beat, read_beat
from driftgate.gateway.state.counters import BATCH_CELLS, EXECUTIONS, ROWS, CounterFile
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.models.errors import RunError
from driftgate.models.run.loaded import LoadedVersion, Trial
from driftgate.models.run.runtime import Session
from driftgate.models.schema.manifest import FileEntry, Manifest, Provenance
from driftgate.models.schema.signature import Signature, TensorSpec

PATIENCE_S = 20.0
SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))


class Doubler:
    """The in-memory twin of a session: doubles its rows, refuses negative ones, notes its calls."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.signature = SIGNATURE
        self.calls: list[int] = []
        self.takes_s = takes_s

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Return twice the input."""
        rows = feeds["x"]
        self.calls.append(len(rows))
        end = time.perf_counter() + self.takes_s
        while time.perf_counter() < end:
            time.sleep(0.0005)
        if (rows < 0).any():
            raise RunError("negative rows")
        return [rows * 2]


def serve(
    path: Path, session: Doubler, seconds_per_row: float = 1e-6, independent: bool = True
) -> ServedVersion:
    """A served version around the twin, predicted to take so long per row."""
    manifest = Manifest(
        format=1,
        name="m",
        version=1,
        signature=SIGNATURE,
        files=(FileEntry("model.onnx", 1, ""),),
        columns=(),
        provenance=Provenance("", ""),
        independent_rows=independent,
    )
    trial = Trial(manifest, "0" * 64, cast(Session, session), {1: seconds_per_row}, 0.0)
    return ServedVersion(LoadedVersion(trial), CounterFile(path / "counters").of("m", "1"))


def request(*values: float) -> InferenceRequest:
    """A request with one row per value."""
    return InferenceRequest({"x": np.array([[value, value] for value in values], "<f4")}, len(values))


class Asked(Exchange):
    """An exchange that a test awaits."""

    __slots__ = ("future",)

    def __init__(self, served: ServedVersion, item: InferenceRequest, deadline_ns: int) -> None:
        super().__init__("/")
        self.request, self.served, self.deadline_ns = item, served, deadline_ns
        self.arrived_ns = time.perf_counter_ns()
        self.on_settled = lambda _: self._tell()
        self.future: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()

    def _tell(self) -> None:
        if self.error is None:
            self.future.set_result([self.computed.outputs["y"][self.first : self.last]])
        else:
            self.future.set_exception(self.error)


async def infer(turns: Turns, served: ServedVersion, item: InferenceRequest, deadline_ns: int) -> list[Array]:
    """Submit a request and wait for its outputs."""
    asked = Asked(served, item, deadline_ns)
    turns.submit(asked)
    return await asked.future


def no_record(served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]) -> None:
    """Record nothing."""


def in_loop(
    path: Path, work: Callable[[Turns], Awaitable[list[object]]], record: Record = no_record
) -> list[object]:
    """Run `work` on a loop of its own."""

    async def main() -> list[object]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        beat = Beat.create(path / "beat", "boot", 1, 1)
        return await work(Turns(asyncio.get_running_loop(), beat, record))

    return asyncio.run(main())


def soon_ns(seconds: float = 10.0) -> int:
    """A deadline from now."""
    return time.perf_counter_ns() + int(seconds * 1e9)


def together(
    served: ServedVersion, *requests: InferenceRequest
) -> Callable[[Turns], Awaitable[list[object]]]:
    """Work that infers all requests at once and gives outputs or errors."""

    async def work(turns: Turns) -> list[object]:
        waits = [infer(turns, served, item, soon_ns()) for item in requests]
        return list(await asyncio.gather(*waits, return_exceptions=True))

    return work


def first(result: object) -> list[list[float]]:
    """The first output as lists."""
    assert isinstance(result, list)
    array: Array = result[0]
    return cast(list[list[float]], array.tolist())


class Held(Doubler):
    """A twin whose calls last until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Wait, then return twice the input."""
        self.let_go.wait(PATIENCE_S)
        return super().run(feeds, outputs)


async def runs_in(path: Path, number: int) -> list[str]:
    """Wait until the beat names so many running versions, and return them."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        beat = read_beat(path / "beat")
        assert beat is not None
        if len(beat.runs) == number or time.monotonic() >= deadline:
            return [run.version for run in beat.runs]
        await asyncio.sleep(0.001)


def test_requests_of_one_turn_share_a_call(tmp_path: Path) -> None:
    """Requests that are ready together are computed in one call, each getting its own rows."""
    session = Doubler()
    served = serve(tmp_path, session)
    results = in_loop(tmp_path, together(served, request(1), request(2, 3), request(4)))
    assert [first(result) for result in results] == [[[2, 2]], [[4, 4], [6, 6]], [[8, 8]]]
    assert session.calls == [4]
    assert served.counters.cells[EXECUTIONS] == 1
    assert served.counters.cells[ROWS] == 4
    assert served.counters.cells[BATCH_CELLS + 2] == 1


def test_a_bad_request_fails_alone(tmp_path: Path) -> None:
    """A request that the model refuses gets the error; its neighbours get their answers."""
    served = serve(tmp_path, Doubler())
    good, bad, other = in_loop(tmp_path, together(served, request(1), request(-1), request(2)))
    assert isinstance(bad, RunError)
    assert (first(good), first(other)) == ([[2, 2]], [[4, 4]])


def test_dependent_rows_are_never_mixed(tmp_path: Path) -> None:
    """A model whose rows depend on each other gets each request in a call of its own."""
    session = Doubler()
    in_loop(tmp_path, together(serve(tmp_path, session, independent=False), request(1), request(2, 3)))
    assert session.calls == [1, 2]


def test_a_lone_request_runs_in_its_own_turn(tmp_path: Path) -> None:
    """With nobody else ready the model has run by the next turn of the loop."""
    session = Doubler()
    served = serve(tmp_path, session)

    async def work(turns: Turns) -> list[object]:
        asked = Asked(served, request(1), soon_ns())
        turns.submit(asked)
        await asyncio.sleep(0)
        assert asked.settled
        return list(await asked.future)

    in_loop(tmp_path, work)
    assert session.calls == [1]


def test_a_large_request_lets_small_ones_through(tmp_path: Path) -> None:
    """A request beyond the rows of a call is cut, and a small one that came later is answered before it."""
    session = Doubler(takes_s=0.002)
    served = serve(tmp_path, session, seconds_per_row=0.001)
    finished: list[str] = []

    async def work(turns: Turns) -> list[object]:
        async def one(name: str, item: InferenceRequest) -> None:
            outputs = await infer(turns, served, item, soon_ns())
            assert len(outputs[0]) == item.rows
            finished.append(name)

        large = asyncio.create_task(one("large", request(*range(200))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.gather(large, one("small", request(7)))
        return []

    in_loop(tmp_path, work)
    assert finished == ["small", "large"]
    assert max(session.calls) < 200


@pytest.mark.parametrize("seconds_per_row", [1e-6, 0.1])
def test_expired_requests_are_not_computed(tmp_path: Path, seconds_per_row: float) -> None:
    """A request whose deadline has passed gets DeadlineExceeded and its rows never reach the model."""
    session = Doubler()
    served = serve(tmp_path, session, seconds_per_row)

    async def work(turns: Turns) -> list[object]:
        late = infer(turns, served, request(1, 1), time.perf_counter_ns() - 1)
        return list(
            await asyncio.gather(late, infer(turns, served, request(2), soon_ns()), return_exceptions=True)
        )

    late, good = in_loop(tmp_path, work)
    assert isinstance(late, DeadlineExceeded)
    assert first(good) == [[4, 4]]
    assert session.calls == [1]


def test_waiting_behind_a_slow_call_ends_at_the_deadline(tmp_path: Path) -> None:
    """A request that waits for a busy lane is told when its deadline passes, and is not computed."""
    session = Held()
    served = serve(tmp_path, session, seconds_per_row=0.1)

    async def work(turns: Turns) -> list[object]:
        slow = asyncio.create_task(infer(turns, served, request(1), soon_ns()))
        await runs_in(tmp_path, 1)
        with pytest.raises(DeadlineExceeded):
            await infer(turns, served, request(2), soon_ns(0.02))
        assert not slow.done()
        session.let_go.set()
        return [await slow]

    (result,) = in_loop(tmp_path, work)
    assert first(result) == [[2, 2]]
    assert session.calls == [1]


def test_the_beat_names_what_runs(tmp_path: Path) -> None:
    """While a call runs, the beat names the version, so that a crash can be laid at its door."""
    session = Held()
    served = serve(tmp_path, session, seconds_per_row=0.1)

    async def work(turns: Turns) -> list[object]:
        call = asyncio.create_task(infer(turns, served, request(1), soon_ns()))
        during = await runs_in(tmp_path, 1)
        session.let_go.set()
        await call
        return [*during, *await runs_in(tmp_path, 0)]

    assert in_loop(tmp_path, work) == ["m/1"]


@pytest.mark.parametrize("seconds_per_row", [1e-6, 0.1])
def test_what_breaks_after_a_call_costs_no_request(tmp_path: Path, seconds_per_row: float) -> None:
    """A call whose record cannot be made holds up neither other versions of its turn nor the next calls."""
    versions = [serve(tmp_path, Doubler(), seconds_per_row) for _ in range(2)]

    def broken(served: ServedVersion, pieces: list[Piece], results: list[Result | Exception]) -> None:
        raise ValueError("no record of this")

    async def work(turns: Turns) -> list[object]:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(2):
                waits = [infer(turns, served, request(1), soon_ns()) for served in versions]
                found = [first(result) for result in await asyncio.gather(*waits)]
                assert found == [[[2, 2]], [[2, 2]]]
        return []

    in_loop(tmp_path, work, broken)


def test_versions_that_run_together_have_lanes_of_their_own(tmp_path: Path) -> None:
    """The beat tells apart what runs at the same time, also after an earlier version's lane has ended."""
    sessions = [Held(), Held()]
    gone = serve(tmp_path, Doubler(), seconds_per_row=0.1)
    second, third = (serve(tmp_path, session, seconds_per_row=0.1) for session in sessions)

    async def work(turns: Turns) -> list[object]:
        await infer(turns, gone, request(1), soon_ns())
        call = asyncio.create_task(infer(turns, second, request(1), soon_ns()))
        found = [await runs_in(tmp_path, 1)]
        turns.close(gone)
        other = asyncio.create_task(infer(turns, third, request(1), soon_ns()))
        found.append(await runs_in(tmp_path, 2))
        for session in sessions:
            session.let_go.set()
        await asyncio.gather(call, other)
        return [*found]

    assert in_loop(tmp_path, work) == [["m/1"], ["m/1", "m/1"]]
