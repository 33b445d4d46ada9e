"""A worker process: one slot of the data plane."""

import asyncio
import gc
import os
import resource
import signal
import time
import uuid
from functools import partial
from pathlib import Path

import uvloop

from driftgate.gateway.access.data_auth import DataAuth
from driftgate.gateway.http.accepting import FairServer, connections_within
from driftgate.gateway.http.connection_limits import ConnectionLimits
from driftgate.gateway.http.listening import listener, server_config
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.feature_store import open_feature_store
from driftgate.gateway.processes.library_logs import LibraryLogs
from driftgate.gateway.processes.spawn import (
    ChildArguments,
    child_arguments,
    die_with_parent,
    dump_stacks_on_signal,
)
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.serving.data_plane import DataPlane
from driftgate.gateway.serving.enrichment import Enricher
from driftgate.gateway.serving.http_protocol import AnswerStarts, GatewayProtocol, KnownHeads
from driftgate.gateway.serving.predict import PredictPath
from driftgate.gateway.serving.recorder import Recorder
from driftgate.gateway.serving.recording import open_log
from driftgate.gateway.serving.replica import Replica
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.serving.shadow import Shadows
from driftgate.gateway.serving.stored_features import StoredFeatures
from driftgate.gateway.serving.turn import Turns
from driftgate.gateway.state.beat import Beat, BeatState, read_beat
from driftgate.gateway.state.counters import CounterFile
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.state.feature_views import ViewsFile
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import SlotLease, beat_path, write_status
from driftgate.gateway.state.status import SlotStatus
from driftgate.models.registry.cache import VersionCache

PULSE_S = 0.25
JOIN_S = 0.1
"""Longer than control takes from its last look at the members to the generation on the disk."""
GARBAGE_THRESHOLD = 20_000
"""Requests leave no cycles behind, so that looking for them every 700 objects would find nothing."""


class Worker:
    """Life of one slot: take the lease, load what is desired, accept, drain, leave.

    State by lifetime: everything here lives as long as the process.
    """

    def __init__(self, arguments: ChildArguments, layout: StateLayout, slot: int) -> None:
        settings = arguments.settings
        self._settings = settings
        self._layout = layout
        self._slot = slot
        self._boot = uuid.uuid4().hex
        self._logger = Logger(f"worker-{slot}", settings.models.log_format)
        self._beat = Beat.create(beat_path(layout, slot), self._boot, os.getpid(), time.monotonic_ns())
        self._counters = CounterFile(layout.counters(slot))
        self._replica = Replica(
            GenerationStore(layout.desired),
            VersionCache(layout.cache),
            self._counters,
            self._logger,
            settings.models.threads,
        )
        self._auth = DataAuth(settings, layout, slot, self._logger)
        self._accepting = False
        self._reported: SlotStatus | None = None
        self._failures = Repeats()
        self._stopping = asyncio.Event()
        self._arguments = arguments

    async def run(self) -> None:
        """Serve until SIGTERM, then drain."""
        LibraryLogs(self._logger).install()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        plane = self._plane(loop)
        following = loop.create_task(self._follow())
        if await self._join():
            await self._serve(plane)
        following.cancel()
        if self._log is not None:
            self._log.close()
        self._beat.state = BeatState.DEAD
        self._logger.close()

    def _plane(self, loop: asyncio.AbstractEventLoop) -> DataPlane:
        log = open_log(self._layout, self._slot, self._boot, self._settings.log, self._logger)
        recorder = Recorder(log, self._settings.log, loop, self._logger)
        shadows = Shadows(loop, self._beat, recorder)
        turns = Turns(loop, self._beat, recorder.call, shadows.copy, recorder.end_turn)

        self._complete_rows(turns)

        def close_lanes(served: ServedVersion) -> None:
            turns.close(served)
            shadows.close(served)

        self._replica.on_unload = close_lanes
        predict = PredictPath(self._replica, turns, recorder, self._settings, self._logger)
        predict.guard = self._auth.predictions
        plane = DataPlane(predict, self._replica, self._layout, self._settings, self._auth.routes)
        grace_s = max(1, round(self._settings.timing.grace_s - self._settings.timing.drain_s))
        limits = self._settings.limits
        connection_limits = ConnectionLimits(limits.receive_timeout_s, limits.max_body_bytes)
        protocol = partial(GatewayProtocol, predict, KnownHeads(), AnswerStarts(), connection_limits)
        most = connections_within(limits.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._server = FairServer(server_config(plane, grace_s, protocol), self._others, self._pulse, most)
        self._predict = predict
        self._log = log
        return plane

    def _complete_rows(self, turns: Turns) -> None:
        """Let versions that read stored features be served, and their rows be completed in the turn."""
        settings, layout = self._settings.features, self._layout
        store = open_feature_store(settings, layout, self._logger)
        counters = FeatureCounters(layout.feature_counters(self._slot))
        self._replica.features = StoredFeatures(
            ViewsFile(layout.feature_views), store, counters, self._logger
        )
        turns.enrich = Enricher(store, counters, settings.max_entities_per_request).enrich

    def _in_flight(self) -> int:
        return self._predict.in_flight

    async def _join(self) -> bool:
        """Become a member, then get ready; return False if told to stop before.

        What control commits without having counted this worker is on the disk before the last look here.
        """
        if not await self._until_ready():
            return False
        self._accepting = True
        self._report()
        await self._pause(JOIN_S)
        return await self._until_ready()

    async def _until_ready(self) -> bool:
        """Wait until the newest generation is in force; return False if told to stop before."""
        while not self._stopping.is_set():
            self._replica.current(patience_s=0.0)
            if self._replica.ready:
                return True
            await self._pause(self._settings.timing.desired_poll_ms / 1000)
        return False

    async def _serve(self, plane: DataPlane) -> None:
        server = self._settings.server
        sock = listener(self._arguments.listen_fd, server.host, server.port)
        serving = asyncio.get_running_loop().create_task(self._server.serve(sockets=[sock]))
        serving.add_done_callback(lambda _: self._stopping.set())
        gc.collect()
        gc.freeze()  # what is there by now stays; the collector need not look at it again
        gc.set_threshold(GARBAGE_THRESHOLD)
        self._beat.state = BeatState.ACCEPTING
        self._logger.info("accepting", generation=self._replica.table.generation, pid=os.getpid())
        await self._stopping.wait()
        await self._drain(plane)
        await serving

    async def _drain(self, plane: DataPlane) -> None:
        """Turn readiness red, let clients move their connections for a moment, then stop accepting."""
        self._accepting = False
        self._beat.state = BeatState.DRAINING
        plane.close_connections()
        self._report()
        self._logger.info("draining", in_flight=self._in_flight())
        await asyncio.sleep(self._settings.timing.drain_s)
        self._server.stop()

    async def _follow(self) -> None:
        """Look for new generations, pulse and report, for ever."""
        poll_s = self._settings.timing.desired_poll_ms / 1000
        pulse_at = 0.0
        while True:
            try:
                now = time.monotonic()
                self._replica.look(now)
                self._auth.follow(now)
                if now >= pulse_at:
                    pulse_at = now + PULSE_S
                    self._pulse()
                self._report()
            except Exception as error:  # the loop's edge: a worker serves on with what it has
                self._note_failure(error)
            await asyncio.sleep(poll_s)

    def _note_failure(self, error: Exception) -> None:
        """Log what fails twenty times a second only once in a while."""
        if self._failures.is_news(repr(error), time.monotonic()):
            self._logger.error("follow_failed", error=type(error).__name__, reason=str(error))

    def _others(self, limit: int) -> list[int]:
        """Connections of the next `limit` slots that accept."""
        workers = self._settings.server.workers
        first, place = self._arguments.first_slot, self._slot - self._arguments.first_slot
        numbers = [first + (place + step) % workers for step in range(1, min(workers, limit + 1))]
        beats = [read_beat(beat_path(self._layout, number)) for number in numbers]
        return [beat.connections for beat in beats if beat and beat.state is BeatState.ACCEPTING]

    def _pulse(self) -> None:
        self._beat.pulse(
            time.monotonic_ns(),
            self._replica.table.generation,
            self._in_flight(),
            len(self._server.server_state.connections),
        )

    def _report(self) -> None:
        status = SlotStatus(
            self._slot,
            self._boot,
            os.getpid(),
            self._replica.table.generation,
            self._accepting,
            self._replica.versions(),
        )
        if status == self._reported:
            return
        try:
            write_status(self._layout, status)
        except OSError as error:  # a full disk stops neither serving nor draining; it is tried again
            self._note_failure(error)
        else:
            self._reported = status

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until told to stop."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


async def _run(arguments: ChildArguments, layout: StateLayout, slot: int) -> None:
    await Worker(arguments, layout, slot).run()


def main(argv: list[str] | None = None) -> None:
    """Run one worker until SIGTERM."""
    arguments = child_arguments(argv)
    die_with_parent(arguments.parent_pid)
    layout = StateLayout(Path(arguments.settings.server.state))
    slot = arguments.slot or 0
    SlotLease.acquire(layout, slot)
    dump_stacks_on_signal(layout.slot(slot) / "stack.txt")
    uvloop.run(_run(arguments, layout, slot))
    os._exit(0)  # everything is answered; a call that is stuck in its thread must not keep the process


if __name__ == "__main__":
    main()
