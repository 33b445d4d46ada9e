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

from driftgate import __version__
from driftgate.gateway.beat import BeatState
from driftgate.gateway.children import Ending, Place, Vitals, reap_strangers
from driftgate.gateway.cores import available_cores
from driftgate.gateway.crashes import Crash, CrashBook
from driftgate.gateway.desired import UnreadableState
from driftgate.gateway.event_logger import EventLogger
from driftgate.gateway.generations import GenerationStore
from driftgate.gateway.handover import Door, Offer, Predecessor
from driftgate.gateway.journal import Journal
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import (
    PORTS_FILE,
    Ports,
    bind,
    bind_or_keep,
    url_of,
    with_real_ports,
    write_ports,
)
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.settings import Settings
from driftgate.gateway.slots import beat_path, bury_dead_slots
from driftgate.gateway.spawn import ChildArguments
from driftgate.gateway.state_lock import claim_state, is_claimed, name_owner
from driftgate.gateway.start_access import check_access
from driftgate.gateway.supervision import Child, Patience, Phase, Role, Snapshot, next_actions

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

    worker: str = "driftgate.gateway.worker"
    control: str = "driftgate.gateway.control"
    probes: str = "driftgate.gateway.probes"
    monitor: str = "driftgate.gateway.monitor"


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
        self._listeners: list[socket.socket] = []
        self._generation = 0
        self._retired: frozenset[str] = frozenset()
        self._unreadable = Repeats()
        self._announced = False
        self._replace_running = replace_running
        self._predecessor: Predecessor | None = None
        self._door: Door | None = None
        self._owns_state = False
        self._lock = -1
        self._first_slot = 0
        self._count = settings.server.workers or available_cores()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT or a successor's word and return the exit code; raise CannotStart."""
        check_access(self._given, self._layout, self._logger)
        self._lock = self._claim()
        try:
            self._install_signals()
            self._watch(self._open())
            return self._exit_code
        finally:
            self._end()
            os.close(self._lock)

    def _claim(self) -> int:
        """Return the lock of the state directory: our own, or the one of the gateway that is replaced."""
        if not (self._replace_running and is_claimed(self._layout)):
            return claim_state(self._layout)
        self._predecessor = Predecessor.meet(self._layout.handover)
        self._phase = Phase.ARRIVING
        offer = self._predecessor.inherited.offer
        if offer.first_slot < self._count:
            self._first_slot = offer.first_slot + offer.workers
        return self._predecessor.inherited.lock

    def _open(self) -> Ports:
        server = self._given.server
        inherited = self._predecessor.inherited.listeners if self._predecessor else (None, None, None)
        for kept, (host, port, option) in zip(
            inherited,
            (
                (server.host, server.port, ""),
                (server.admin_host, server.admin_port, "admin-"),
                (server.metrics_host, server.metrics_port, "metrics-"),
            ),
            strict=True,
        ):
            self._listeners.append(
                bind_or_keep(kept, host, port, option) if kept else bind(host, port, option)
            )
        data, admin, metrics = self._listeners
        slots = tuple(range(self._first_slot, self._first_slot + self._count))
        ports = Ports(os.getpid(), url_of(data), url_of(admin), url_of(metrics), slots)
        self._plan(with_real_ports(self._given, data, admin, metrics))
        if self._predecessor is None:
            self._take_possession(ports)
            self._logger.info("gateway_started", why=f"Driftgate {__version__} on {ports.data}")
        self._logger.info("listening", data=ports.data, admin=ports.admin, metrics=ports.metrics)
        return ports

    def _take_possession(self, ports: Ports) -> None:
        """Do what only the owner of the state directory may do."""
        self._owns_state = True
        name_owner(self._lock)
        self._store.remove_unfinished()
        bury_dead_slots(self._layout)
        write_ports(self._layout.root, ports)
        try:
            self._logger.attach(Journal(self._layout.events, "supervisor"))
            self._door = Door(self._layout.handover)
        except OSError as error:  # a full disk; serving goes on
            self._logger.error("state_not_written", reason=error.strerror)

    def _plan(self, settings: Settings) -> None:
        count = self._count
        server = msgspec.structs.replace(settings.server, workers=count, state=str(self._layout.root))
        settings = msgspec.structs.replace(settings, server=server)
        data, admin, metrics = (listener.fileno() for listener in self._listeners)
        shared = ChildArguments(settings, parent_pid=os.getpid(), first_slot=self._first_slot)
        layout = self._layout
        self._place(
            Role.CONTROL,
            self._modules.control,
            replace(shared, listen_fd=admin),
            Vitals(layout.control_beat, layout.control_stacks),
        )
        for slot in range(self._first_slot, self._first_slot + count):
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
            if self._phase is Phase.ARRIVING and now - began > REPLACE_WITHIN_S:
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
            self._close_listeners()
            if not any(place.pid for place in self._places.values()):
                return False
        self._read_desired()
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
        if self._phase is Phase.ARRIVING and self._announced and self._predecessor is not None:
            self._predecessor.say_ready()
            if self._predecessor.has_left():
                pid = self._predecessor.inherited.offer.pid
                self._phase = Phase.RUNNING
                self._take_possession(ports)
                self._logger.info("gateway_taken_over", why=f"Driftgate {__version__} replaces process {pid}")
                self._announce(ports)

    def _hand_over(self) -> None:
        """As an old gateway: give the successor what it needs, step by step, as long as it lives."""
        if self._door is None:
            return
        if self._phase is Phase.RUNNING:
            offer = Offer(1, os.getpid(), self._first_slot, self._count)
            self._door.welcome(offer, self._listeners, self._lock)
            if self._door.successor_is_ready():
                self._phase = Phase.YIELDING
        elif self._phase is Phase.YIELDING:
            helpers = [place for place in self._places.values() if place.pid and not place.is_worker]
            if self._door.successor_is_gone():
                self._phase = Phase.RUNNING
            elif not helpers:
                self._leave()

    def _leave(self) -> None:
        """Give the state directory away, then drain."""
        self._logger.info("gateway_handed_over", why="another process takes over")
        self._logger.detach()
        self._owns_state = False
        if self._door is not None:
            self._door.hand_over()
        self._phase = Phase.STOPPING

    def _give_up(self) -> None:
        self._logger.error("not_replaced", reason=f"no worker accepted in {REPLACE_WITHIN_S:g} s")
        self._exit_code = EXIT_NOT_REPLACED
        self._phase = Phase.STOPPING

    def _note_crash(self, ending: Ending | None) -> None:
        """Tell control which versions were running when a worker ended badly."""
        if ending is None or not ending.running:
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

    def _close_listeners(self) -> None:
        """Leave the sockets to the children: the last one to close its copy refuses what comes after."""
        for listener in self._listeners:
            listener.close()

    def _end(self) -> None:
        self._close_listeners()
        for place in self._places.values():
            place.end()
        if self._owns_state:
            self._logger.info("gateway_stopped")
            self._layout.handover.unlink(missing_ok=True)
            (self._layout.root / PORTS_FILE).unlink(missing_ok=True)
        # last, for a successor takes this for the word that everything is its own
        for end in (self._predecessor, self._door):
            if end is not None:
                end.close()
