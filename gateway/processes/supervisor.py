"""The supervisor: owns the listening sockets, starts, watches, drains and restarts the other processes.

It serves nothing itself and imports little, so that it starts fast and has little to fail with. What it does
next is decided in `supervision`; here it is done.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import msgspec

from driftgate.features.views.declaration import VIEWS_DIRECTORY
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import (
    Ports,
    with_real_ports,
)
from driftgate.gateway.processes.children import Ending, Place, Vitals, reap_strangers
from driftgate.gateway.processes.cores import available_cores
from driftgate.gateway.processes.event_logger import EventLogger
from driftgate.gateway.processes.spawn import ChildArguments
from driftgate.gateway.processes.start_access import check_access
from driftgate.gateway.processes.start_features import check_features
from driftgate.gateway.processes.start_state import check_state
from driftgate.gateway.processes.supervision import Child, Patience, Phase, Role, Snapshot, next_actions
from driftgate.gateway.processes.tenure import Tenure
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.settings import Settings
from driftgate.gateway.state.beat import BeatState
from driftgate.gateway.state.crashes import Crash, CrashBook
from driftgate.gateway.state.desired import UnreadableState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import beat_path

LOOK_EVERY_S = 0.1
GAP_S = 1.0
"""A look that comes so late means that this process itself was paused."""
EXIT_STOPPED_AT_ONCE = 130
EXIT_NOT_REPLACED = 1
REPLACE_WITHIN_S = 120.0
"""Patience with the workers of a successor; after that the old gateway simply goes on."""


@dataclass(frozen=True)
class ChildModules:
    """The modules that the children run."""

    worker: str = "driftgate.gateway.serving.worker"
    control: str = "driftgate.gateway.admin.process"
    probes: str = "driftgate.gateway.processes.probes"
    monitor: str = "driftgate.gateway.monitor.process"
    features: str = "driftgate.gateway.processes.feature_writer"


class Supervisor:
    """Runs one gateway on one state directory until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        logger: EventLogger,
        announce: Callable[[Ports], None],
        modules: ChildModules = ChildModules(),
        replace_running: bool = False,
    ) -> None:
        """`announce` is called once, when every worker accepts requests.

        `replace_running` takes over from the gateway that runs on the state directory, if there is one.
        """
        self._given = settings
        self._logger = logger
        self._announce = announce
        self._modules = modules
        self._layout = StateLayout(Path(settings.server.state).absolute())
        self._store = GenerationStore(self._layout.desired)
        timing = settings.timing
        self._crashes = CrashBook(self._layout.crashes)
        self._patience = Patience(
            timing.hung_after_s, timing.stuck_inference_s, timing.drain_s + timing.grace_s
        )
        self._phase = Phase.RUNNING
        self._exit_code = 0
        self._places: dict[str, Place] = {}
        self._generation = 0
        self._retired: frozenset[str] = frozenset()
        self._unreadable = Repeats()
        self._announced = False
        self._replace_running = replace_running
        self._count = settings.server.workers or available_cores()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT or a successor's word and return the exit code; raise CannotStart."""
        check_access(self._given, self._layout, self._logger)
        check_state(self._layout)
        check_features(self._given.features, self._logger)
        self._tenure = Tenure(self._layout, self._logger, self._count, self._replace_running)
        if self._tenure.is_successor:
            self._phase = Phase.ARRIVING
        try:
            self._install_signals()
            self._watch(self._open())
            return self._exit_code
        finally:
            self._close_children()
            self._tenure.end()

    def _open(self) -> Ports:
        listeners = self._tenure.listen(self._given.server)
        ports = self._tenure.ports
        self._plan(with_real_ports(self._given, *listeners), listeners)
        if not self._tenure.is_successor:
            self._tenure.take_possession(ports)
        self._logger.info("listening", data=ports.data, admin=ports.admin, metrics=ports.metrics)
        return ports

    def _plan(self, settings: Settings, listeners: list[socket.socket]) -> None:
        server = msgspec.structs.replace(settings.server, workers=self._count, state=str(self._layout.root))
        settings = msgspec.structs.replace(settings, server=server)
        data, admin, metrics = (listener.fileno() for listener in listeners)
        shared = ChildArguments(settings, parent_pid=os.getpid(), first_slot=self._tenure.first_slot)
        layout = self._layout
        self._place(
            Role.CONTROL,
            self._modules.control,
            replace(shared, listen_fd=admin),
            Vitals(layout.control_beat, layout.control_stacks),
        )
        for slot in self._tenure.slots:
            worker = replace(shared, slot=slot, listen_fd=data)
            vitals = Vitals(beat_path(layout, slot), layout.stacks(slot), layout.log(slot))
            self._place(Role.WORKER, self._modules.worker, worker, vitals)
        self._place(Role.PROBES, self._modules.probes, replace(shared, listen_fd=metrics), None)
        if settings.has_monitor:
            vitals = Vitals(layout.monitor_beat, layout.monitor_stacks)
            self._place(Role.MONITOR, self._modules.monitor, shared, vitals)
        self._views = Path(settings.server.registry) / VIEWS_DIRECTORY
        self._shared = shared

    def _place_feature_writer(self) -> None:
        """Once the registry declares feature views, there are pushes to be written."""
        if Role.FEATURES.value not in self._places and self._views.is_dir():
            vitals = Vitals(self._layout.feature_writer_beat, self._layout.feature_writer_stacks)
            self._place(Role.FEATURES, self._modules.features, self._shared, vitals)

    def _place(self, role: Role, module: str, arguments: ChildArguments, vitals: Vitals | None) -> None:
        place = Place(role, module, arguments, vitals, self._logger)
        self._places[place.name] = place

    def _install_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self._on_stop)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._phase not in (Phase.STOPPING, Phase.STOPPING_NOW):
            self._phase = Phase.STOPPING
        elif number == signal.SIGINT:
            self._phase = Phase.STOPPING_NOW
            self._exit_code = EXIT_STOPPED_AT_ONCE

    def _watch(self, ports: Ports) -> None:
        watching_since = looked_at = began = time.monotonic()
        while True:
            now = time.monotonic()
            if now - looked_at > GAP_S:
                watching_since = now
            looked_at = now
            if self._phase is Phase.ARRIVING and not self._announced and now - began > REPLACE_WITHIN_S:
                self._give_up()
            if not self._turn(watching_since, now, ports):
                return
            time.sleep(LOOK_EVERY_S)

    def _turn(self, watching_since: float, now: float, ports: Ports) -> bool:
        """Look and act once; return False when there is nothing left to do."""
        for place in self._places.values():
            self._note_crash(place.reap(now))
        reap_strangers({place.pid for place in self._places.values()})
        if self._phase in (Phase.STOPPING, Phase.STOPPING_NOW):
            self._tenure.close_listeners()
            if not any(place.pid for place in self._places.values()):
                return False
        self._read_desired()
        self._place_feature_writer()
        children = tuple(place.look() for place in self._places.values())
        snapshot = Snapshot(children, self._phase, watching_since, self._retired)
        for action in next_actions(snapshot, self._patience, now):
            self._places[action.child].act(action, now)
        self._announce_once(children, ports)
        self._take_over(ports)
        self._hand_over()
        return True

    def _take_over(self, ports: Ports) -> None:
        """As a successor whose workers accept: wait until the old gateway has left, then own everything."""
        arrived = self._phase is Phase.ARRIVING and self._announced
        if arrived and self._tenure.predecessor_has_left():
            self._phase = Phase.RUNNING
            self._tenure.take_possession(ports)
            self._announce(ports)

    def _hand_over(self) -> None:
        """As an old gateway: give the successor what it needs, step by step, as long as it lives."""
        if self._phase is Phase.RUNNING and self._tenure.successor_is_ready():
            self._phase = Phase.YIELDING
        elif self._phase is Phase.YIELDING:
            helpers = [place for place in self._places.values() if place.pid and not place.is_worker]
            if self._tenure.successor_is_gone():
                self._phase = Phase.RUNNING
            elif not helpers:
                self._tenure.give_away()
                self._phase = Phase.STOPPING

    def _give_up(self) -> None:
        self._logger.error("not_replaced", reason=f"no worker accepted in {REPLACE_WITHIN_S:g} s")
        self._exit_code = EXIT_NOT_REPLACED
        self._phase = Phase.STOPPING

    def _note_crash(self, ending: Ending | None) -> None:
        """Note for control and for metrics that a worker ended badly, and which versions were running."""
        if ending is None or ending.role is not Role.WORKER or not self._tenure.owns_state:
            return
        self._read_desired()
        crash = Crash(
            ending.boot,
            ending.name,
            ending.ending,
            ending.running,
            self._generation,
            time.time(),
            ending.hung,
        )
        try:
            self._crashes.note(crash)
        except OSError as error:
            self._logger.error("crash_not_noted", child=ending.name, reason=error.strerror)

    def _read_desired(self) -> None:
        try:
            newest = self._generation or self._store.newest_number()
            while self._store.exists(newest + 1):
                newest += 1
            if newest != self._generation:
                self._generation = newest
                self._retired = frozenset(self._store.read(newest).retired_boots)
        except (UnreadableState, OSError) as error:
            if self._unreadable.is_news(str(error), time.monotonic()):
                self._logger.error("desired_state_unreadable", reason=str(error))

    def _announce_once(self, children: tuple[Child, ...], ports: Ports) -> None:
        workers = [child for child in children if child.role is Role.WORKER]
        if not self._announced and all(
            child.beat is not None and child.beat.state is BeatState.ACCEPTING for child in workers
        ):
            self._announced = True
            self._logger.info("ready", workers=len(workers), generation=self._generation)
            if self._phase is not Phase.ARRIVING:
                self._announce(ports)

    def _close_children(self) -> None:
        for place in self._places.values():
            place.end()
