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

from driftgate.gateway.beat import BeatState
from driftgate.gateway.children import Place, Vitals, reap_strangers
from driftgate.gateway.desired import UnreadableState
from driftgate.gateway.generations import GenerationStore
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import (
    PORTS_FILE,
    Ports,
    bind,
    check_admin_address,
    url_of,
    with_real_ports,
    write_ports,
)
from driftgate.gateway.logs import Logger
from driftgate.gateway.settings import Settings, available_cores
from driftgate.gateway.slots import beat_path, bury_dead_slots
from driftgate.gateway.spawn import ChildArguments
from driftgate.gateway.state_lock import claim_state
from driftgate.gateway.supervision import Child, Patience, Phase, Role, Snapshot, next_actions

LOOK_EVERY_S = 0.1
GAP_S = 1.0
"""A look that comes so late means that this process itself was paused."""
EXIT_STOPPED_AT_ONCE = 130


@dataclass(frozen=True)
class ChildModules:
    """The modules that the children run."""

    worker: str = "driftgate.gateway.worker"
    control: str = "driftgate.gateway.control"
    probes: str = "driftgate.gateway.probes"
    monitor: str = "driftgate.gateway.monitor"


class Supervisor:
    """Runs one gateway on one state directory until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        logger: Logger,
        announce: Callable[[Ports], None],
        modules: ChildModules = ChildModules(),
    ) -> None:
        """`announce` is called once, when every worker accepts requests."""
        self._given = settings
        self._logger = logger
        self._announce = announce
        self._modules = modules
        self._layout = StateLayout(Path(settings.server.state).absolute())
        self._store = GenerationStore(self._layout.desired)
        timing = settings.timing
        self._patience = Patience(
            timing.hung_after_s, timing.stuck_inference_s, timing.drain_s + timing.grace_s
        )
        self._phase = Phase.RUNNING
        self._exit_code = 0
        self._places: dict[str, Place] = {}
        self._listeners: list[socket.socket] = []
        self._generation = 0
        self._retired: frozenset[str] = frozenset()
        self._announced = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT and return the exit code; raise CannotStart."""
        check_admin_address(self._given.server)
        lock = claim_state(self._layout)
        try:
            self._install_signals()
            self._watch(self._open())
            return self._exit_code
        finally:
            self._end()
            os.close(lock)

    def _open(self) -> Ports:
        server = self._given.server
        for host, port, option in (
            (server.host, server.port, ""),
            (server.admin_host, server.admin_port, "admin-"),
            (server.metrics_host, server.metrics_port, "metrics-"),
        ):
            self._listeners.append(bind(host, port, option))
        data, admin, metrics = self._listeners
        self._store.remove_unfinished()
        bury_dead_slots(self._layout)
        ports = Ports(os.getpid(), url_of(data), url_of(admin), url_of(metrics))
        write_ports(self._layout.root, ports)
        self._plan(with_real_ports(self._given, data, admin, metrics))
        self._logger.info("listening", data=ports.data, admin=ports.admin, metrics=ports.metrics)
        return ports

    def _plan(self, settings: Settings) -> None:
        count = settings.server.workers or available_cores()
        server = msgspec.structs.replace(settings.server, workers=count, state=str(self._layout.root))
        settings = msgspec.structs.replace(settings, server=server)
        data, admin, metrics = (listener.fileno() for listener in self._listeners)
        shared = ChildArguments(settings, parent_pid=os.getpid())
        layout = self._layout
        self._place(
            Role.CONTROL,
            self._modules.control,
            replace(shared, listen_fd=admin),
            Vitals(layout.control_beat, layout.control_stacks),
        )
        for slot in range(count):
            worker = replace(shared, slot=slot, listen_fd=data)
            vitals = Vitals(beat_path(layout, slot), layout.stacks(slot), layout.log(slot))
            self._place(Role.WORKER, self._modules.worker, worker, vitals)
        self._place(Role.PROBES, self._modules.probes, replace(shared, listen_fd=metrics), None)
        if settings.log.enabled:
            vitals = Vitals(layout.monitor_beat, layout.monitor_stacks)
            self._place(Role.MONITOR, self._modules.monitor, shared, vitals)

    def _place(self, role: Role, module: str, arguments: ChildArguments, vitals: Vitals | None) -> None:
        place = Place(role, module, arguments, vitals, self._logger)
        self._places[place.name] = place

    def _install_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self._on_stop)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._phase is Phase.RUNNING:
            self._phase = Phase.STOPPING
        elif number == signal.SIGINT:
            self._phase = Phase.STOPPING_NOW
            self._exit_code = EXIT_STOPPED_AT_ONCE

    def _watch(self, ports: Ports) -> None:
        watching_since = looked_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now - looked_at > GAP_S:
                watching_since = now
            looked_at = now
            if not self._turn(watching_since, now, ports):
                return
            time.sleep(LOOK_EVERY_S)

    def _turn(self, watching_since: float, now: float, ports: Ports) -> bool:
        """Look and act once; return False when there is nothing left to do."""
        for place in self._places.values():
            place.reap(now)
        reap_strangers({place.pid for place in self._places.values()})
        if self._phase is not Phase.RUNNING:
            self._close_listeners()
            if not any(place.pid for place in self._places.values()):
                return False
        self._read_desired()
        children = tuple(place.look() for place in self._places.values())
        snapshot = Snapshot(children, self._phase, watching_since, self._retired)
        for action in next_actions(snapshot, self._patience, now):
            self._places[action.child].act(action, now)
        self._announce_once(children, ports)
        return True

    def _read_desired(self) -> None:
        try:
            newest = self._generation or self._store.newest_number()
            while self._store.exists(newest + 1):
                newest += 1
            if newest != self._generation:
                self._generation = newest
                self._retired = frozenset(self._store.read(newest).retired_boots)
        except (UnreadableState, OSError) as error:
            self._logger.error("desired_state_unreadable", reason=str(error))

    def _announce_once(self, children: tuple[Child, ...], ports: Ports) -> None:
        workers = [child for child in children if child.role is Role.WORKER]
        if not self._announced and all(
            child.beat is not None and child.beat.state is BeatState.ACCEPTING for child in workers
        ):
            self._announced = True
            self._logger.info("ready", workers=len(workers), generation=self._generation)
            self._announce(ports)

    def _close_listeners(self) -> None:
        """Leave the sockets to the children: the last one to close its copy refuses what comes after."""
        for listener in self._listeners:
            listener.close()

    def _end(self) -> None:
        self._close_listeners()
        for place in self._places.values():
            place.end()
        (self._layout.root / PORTS_FILE).unlink(missing_ok=True)
