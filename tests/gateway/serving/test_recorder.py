"""Answers wait for their records, and never for nothing."""

import asyncio
import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, cast

import numpy as np
import pytest

from driftgate.gateway.http.headers import RequestHeaders
from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.batch import Piece, Result
from driftgate.gateway.serving.exchange import Answer, Exchange
from driftgate.gateway.serving.recorder import Recorder
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.settings import LogSettings
from driftgate.gateway.state.counters import CounterFile
from driftgate.gateway.wire.computed import Computed
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.models.run.loaded import LoadedVersion, Trial
from driftgate.models.run.runtime import Session
from driftgate.monitoring.log.record import OnDurable, TurnRecord

from harness.protocol import manifest_of

Word = Literal["take", "refuse", "lose", "break"]
OK = Answer(200, b"", b"", False)
HOLDING = [
    LogSettings(mode="written"),
    LogSettings(mode="fsync"),
    LogSettings(when_full="refuse"),
    LogSettings(mode="written", when_full="refuse"),
]


class ScriptedSink:
    """The twin of a log that does with each turn what a script says; its last word is for the rest."""

    refusing = False

    def __init__(self, *script: Word) -> None:
        self._script = list(script)
        self._told: list[tuple[OnDurable, bool]] = []

    def append(self, turn: TurnRecord, on_durable: OnDurable | None = None) -> bool:
        """Take the turn, refuse it, lose it later, or break."""
        word = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if word == "break":
            raise RuntimeError("no room in the buffer")
        if on_durable is not None and word != "refuse":
            self._told.append((on_durable, word == "take"))
        return word == "take" or (word == "lose" and on_durable is not None)

    def flush(self) -> None:
        """Tell whoever waits."""
        told, self._told = self._told, []
        for on_durable, recorded in told:
            on_durable(recorded)


class Scene:
    """One recorder, and what became of the answers."""

    def __init__(self, sink: ScriptedSink, settings: LogSettings, path: Path) -> None:
        self.log = BytesIO()
        self.sink = sink
        logger = Logger("worker-0", stream=self.log)
        self.recorder = Recorder(sink, settings, asyncio.get_running_loop(), logger)
        self.recorder.release = self._release
        self.released: list[tuple[Exchange, bool]] = []
        manifest = manifest_of()
        session = cast(Session, SimpleNamespace(signature=manifest.signature))
        trial = Trial(manifest, "0" * 64, session, {1: 1e-6}, 0.0)
        self.served = ServedVersion(LoadedVersion(trial), CounterFile(path / "counters").of("m", "2"))

    def _release(self, exchange: Exchange, recorded: bool) -> None:
        exchange.held = None
        self.released.append((exchange, recorded))

    def asked(self, rows: int) -> Exchange:
        """A request of so many rows."""
        exchange = Exchange("/")
        exchange.prediction_id = "018bcfe5-6800-77d4-8c39-1ff4a640f6b5"
        exchange.request = InferenceRequest({"x": np.zeros((rows, 4), "<f4")}, rows)
        exchange.served, exchange.headers = self.served, RequestHeaders()
        return exchange

    def computed(self, exchange: Exchange, start: int, stop: int) -> None:
        """Record rows of a request; its last ones give it an answer that is held."""
        if stop == exchange.request.rows:
            exchange.held = OK
        rows = np.zeros((stop - start, 4), "<f4")
        result = Result(Computed({"x": rows}, {"y": rows}), 0, None)
        self.recorder.call(self.served, [Piece(exchange, start, stop)], [result])

    async def written(self) -> None:
        """Let the log write what it has."""
        self.sink.flush()
        await asyncio.sleep(0)


@pytest.mark.parametrize("settings", HOLDING)
def test_what_cannot_be_recorded_is_not_waited_for(settings: LogSettings, tmp_path: Path) -> None:
    """When recording breaks, the held answers are refused at once, and one line says why."""

    async def scene() -> None:
        room = Scene(ScriptedSink("break"), settings, tmp_path)
        asked = [room.asked(1) for _ in range(3)]
        for exchange in asked:
            room.computed(exchange, 0, 1)
        assert room.released == [(exchange, False) for exchange in asked]
        (line,) = room.log.getvalue().splitlines()
        assert (json.loads(line)["event"], json.loads(line)["error"]) == ("recording_failed", "RuntimeError")

    asyncio.run(scene())


def test_a_broken_recording_of_answered_requests_costs_only_the_record(tmp_path: Path) -> None:
    """Where nothing is held, an answer is gone already: the failure is logged and reaches nobody."""

    async def scene() -> None:
        room = Scene(ScriptedSink("break"), LogSettings(), tmp_path)
        exchange = room.asked(1)
        room.computed(exchange, 0, 0)
        assert room.released == []
        assert b"recording_failed" in room.log.getvalue()

    asyncio.run(scene())


@pytest.mark.parametrize("settings", HOLDING)
@pytest.mark.parametrize(
    "script", [("refuse", "take"), ("lose", "take"), ("break", "take"), ("take", "lose")]
)
def test_a_request_in_parts_is_answered_only_if_all_are_recorded(
    settings: LogSettings, script: tuple[Word, ...], tmp_path: Path
) -> None:
    """A part that was not recorded refuses the whole request, though its last part was."""

    async def scene() -> None:
        room = Scene(ScriptedSink(*script), settings, tmp_path)
        exchange = room.asked(4)
        room.computed(exchange, 0, 2)
        assert room.released == []
        room.computed(exchange, 2, 4)
        await room.written()
        assert room.released == [(exchange, False)]

    asyncio.run(scene())


@pytest.mark.parametrize("settings", HOLDING)
def test_a_request_in_parts_waits_for_all_of_them(settings: LogSettings, tmp_path: Path) -> None:
    """An answer is sent once, when every part is as safe as the mode promises."""

    async def scene() -> None:
        room = Scene(ScriptedSink("take"), settings, tmp_path)
        exchange = room.asked(4)
        room.computed(exchange, 0, 2)
        room.computed(exchange, 2, 4)
        assert room.released == ([] if settings.mode != "async" else [(exchange, True)])
        await room.written()
        assert room.released == [(exchange, True)]

    asyncio.run(scene())
