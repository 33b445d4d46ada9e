"""Shadows in a worker: computed after the answers, bounded, dropped and counted, held until the end."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from driftgate.gateway.http.headers import RequestHeaders
from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.batch import Piece, Result
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.recorder import Recorder
from driftgate.gateway.serving.served import ServedVersion, Shadowing
from driftgate.gateway.serving.shadow import MOST_CALLS, MOST_ROWS, Shadows
from driftgate.gateway.settings import LogSettings
from driftgate.gateway.state.beat import LANES, Beat, read_beat
from driftgate.gateway.state.counters import SHADOW_DROPPED, SHADOW_ROWS, CounterFile
from driftgate.gateway.state.desired import TOTAL_PPM
from driftgate.gateway.wire.computed import Computed
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.gateway.wire.prediction_id import PredictionIds
from driftgate.models.errors import RunError
from driftgate.models.run.loaded import LoadedVersion, Trial
from driftgate.models.run.runtime import Session
from driftgate.models.schema.manifest import Manifest
from driftgate.models.schema.signature import Signature, TensorSpec

from harness.manifests import paper_manifest
from harness.records import MemorySink

SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))
WITHIN_S = 30.0


class Tripler:
    """The in-memory twin of a session: triples rows, refuses negative ones, waits while `gate` is shut."""

    def __init__(self) -> None:
        self.signature = SIGNATURE
        self.gate = threading.Event()
        self.gate.set()
        self.fed: list[Array] = []

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Return three times the input."""
        assert self.gate.wait(WITHIN_S)
        self.fed.append(feeds["x"])
        if (feeds["x"] < 0).any():
            raise RunError("negative rows")
        return [feeds["x"] * 3]


class Stage:
    """A primary with one shadow, and a sink that keeps what is recorded."""

    def __init__(self, path: Path, share_ppm: int = TOTAL_PPM, independent: bool = True) -> None:
        self.beat_path = path / "beat"
        self.counters = CounterFile(path / "counters")
        self.session = Tripler()
        self.primary = self.served(1, True)
        self.shadow = self.served(2, independent)
        self.primary.shadows = (Shadowing(self.shadow, share_ppm),)
        self.sink = MemorySink()
        self.shadows = Shadows(
            asyncio.get_running_loop(),
            Beat.create(self.beat_path, "boot", 1, 1),
            Recorder(
                self.sink, LogSettings(), asyncio.get_running_loop(), Logger("worker", stream=BytesIO())
            ),
        )
        self.ids = PredictionIds(b"seed")

    def served(self, version: int, independent: bool) -> ServedVersion:
        """A version around the twin."""
        manifest: Manifest = msgspec.structs.replace(
            paper_manifest(version), signature=SIGNATURE, independent_rows=independent
        )
        trial = Trial(manifest, "0" * 64, cast(Session, self.session), {1: 1e-6}, 0.0)
        return ServedVersion(LoadedVersion(trial), self.counters.of("m", str(version)))

    def call(self, *values: float, rows: int = 1) -> Array:
        """Copy one call whose requests have so many rows with these values each; return its inputs."""
        whole = np.repeat(np.array([[value, value] for value in values], "<f4"), rows, axis=0)
        computed = Computed({"x": whole}, {"y": whole * 2})
        pieces, results = [], list[Result | Exception]()
        for number in range(len(values)):
            exchange = Exchange("/")
            exchange.headers = RequestHeaders()
            exchange.served = self.primary
            exchange.prediction_id = self.ids.new(number)
            exchange.request = InferenceRequest({"x": whole[number * rows : (number + 1) * rows]}, rows)
            pieces.append(Piece(exchange, 0, rows))
            results.append(Result(computed, number * rows, (number + 1) * rows))
        self.shadows.copy(self.primary, pieces, results)
        return whole

    @property
    def dropped(self) -> int:
        """Rows dropped."""
        return int(self.shadow.counters.cells[SHADOW_DROPPED])

    @property
    def computed(self) -> int:
        """Rows computed."""
        return int(self.shadow.counters.cells[SHADOW_ROWS])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until a condition holds."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - the condition is another thread's
                await asyncio.sleep(0.001)


def on_stage(path: Path, play: Callable[[Stage], Awaitable[None]], **options: object) -> None:
    """Run `play` on a loop of its own."""

    async def main() -> None:
        await play(Stage(path, **options))  # type: ignore[arg-type] # options of the test at hand

    asyncio.run(main())


def test_the_very_arrays_are_computed(tmp_path: Path) -> None:
    """The shadow gets the arrays of the call, once, and is recorded under the ids of its requests."""

    async def play(stage: Stage) -> None:
        whole = stage.call(1.0, 2.0)
        await stage.until(lambda: stage.computed == 2)
        assert stage.session.fed[0] is whole
        (turn,) = stage.sink.turns
        assert (turn.version.version, [one.arm for one in turn.requests]) == (2, ["shadow", "shadow"])
        assert [one.propensity for one in turn.requests] == [None, None]
        assert [one.code for one in turn.requests] == [200, 200]
        assert len({one.prediction_id for one in turn.requests}) == 2
        assert turn.outputs["y"].tolist() == [[3.0, 3.0], [6.0, 6.0]]
        assert stage.shadow.loaded.in_use == 0

    on_stage(tmp_path, play)


def test_rows_that_depend_on_each_other_stay_apart(tmp_path: Path) -> None:
    """A shadow whose rows may not share a call gets one call for each request."""

    async def play(stage: Stage) -> None:
        stage.call(1.0, 2.0, rows=3)
        await stage.until(lambda: stage.computed == 6)
        assert [len(rows) for rows in stage.session.fed] == [3, 3]

    on_stage(tmp_path, play, independent=False)


def test_what_the_shadow_refuses_is_recorded_without_outputs(tmp_path: Path) -> None:
    """An error of the shadow is its own: a record with code 500, and the next call is computed."""

    async def play(stage: Stage) -> None:
        stage.call(-1.0)
        stage.call(1.0)
        await stage.until(lambda: stage.computed == 2)
        assert [turn.requests[0].code for turn in stage.sink.turns] == [500, 200]
        assert stage.sink.turns[0].outputs == {}

    on_stage(tmp_path, play)


@pytest.mark.parametrize(("rows", "kept"), [(1, MOST_CALLS), (MOST_ROWS // 2, 2), (MOST_ROWS * 2, 1)])
def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, rows: int, kept: int) -> None:
    """The queue is bounded in calls and rows; a call that is too large waits only where nothing else does."""

    async def play(stage: Stage) -> None:
        stage.session.gate.clear()
        stage.call(0.0)
        calls = MOST_CALLS + 10
        for _ in range(calls):
            stage.call(1.0, rows=rows)
        assert stage.dropped == (calls - kept) * rows
        stage.session.gate.set()
        await stage.until(lambda: stage.computed == kept * rows + 1)

    on_stage(tmp_path, play)


def test_a_share_is_sampled(tmp_path: Path) -> None:
    """About that share of the calls is copied, by their prediction ids."""

    async def play(stage: Stage) -> None:
        for _ in range(1000):
            stage.call(1.0)
            await asyncio.sleep(0)
            await stage.until(lambda: stage.shadow.loaded.in_use == 0)
        assert stage.dropped == 0
        assert 200 < stage.computed < 300

    on_stage(tmp_path, play, share_ppm=250_000)


def test_the_beat_names_a_running_shadow(tmp_path: Path) -> None:
    """A shadow that kills its worker is found in the beat, in a lane that no answer uses before."""

    async def play(stage: Stage) -> None:
        stage.session.gate.clear()
        stage.call(1.0)

        def running() -> list[str]:
            beat = read_beat(stage.beat_path)
            return [run.version for run in beat.runs] if beat else []

        await stage.until(lambda: running() == ["m/2"])
        stage.session.gate.set()
        await stage.until(lambda: running() == [])
        assert LANES > 1

    on_stage(tmp_path, play)


def test_a_retired_shadow_is_freed_after_its_last_call(tmp_path: Path) -> None:
    """A call that waits holds the version; it is freed when the last one is computed."""

    async def play(stage: Stage) -> None:
        stage.session.gate.clear()
        stage.call(1.0)
        stage.call(2.0)
        freed = threading.Event()
        stage.shadow.loaded.retire(freed.set)
        assert not freed.is_set()
        stage.session.gate.set()
        await stage.until(freed.is_set)
        assert stage.computed == 2
        stage.shadows.close(stage.shadow)

    on_stage(tmp_path, play)
