"""The right to write one state directory and to listen for it: claimed or taken over, held, given away."""

import os
import socket
from collections.abc import Sequence

from driftgate import __version__
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import PORTS_FILE, Ports, bind, bind_or_keep, url_of, write_ports
from driftgate.gateway.processes.event_logger import EventLogger
from driftgate.gateway.processes.handover import FORMAT, Door, Offer, Predecessor
from driftgate.gateway.settings import ServerSettings
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.journal import Journal
from driftgate.gateway.state.slots import bury_dead_slots
from driftgate.gateway.state.state_lock import claim_state, is_claimed, name_owner


class Tenure:
    """One supervisor's hold on a state directory. `first_slot` is the lowest of its workers' slots.

    With `replace_running` and a gateway that runs there it is a successor: it has lock and listeners,
    and writes nothing of the directory's own before `take_possession`.
    """

    def __init__(self, layout: StateLayout, logger: EventLogger, workers: int, replace_running: bool) -> None:
        """Claim the directory, or meet the gateway that runs on it; raise CannotStart."""
        self._layout = layout
        self._logger = logger
        self._workers = workers
        self._predecessor: Predecessor | None = None
        self._door: Door | None = None
        self._listeners: list[socket.socket] = []
        self.owns_state = False
        self.first_slot = 0
        if replace_running and is_claimed(layout):
            self._predecessor = Predecessor.meet(layout.handover)
            offer = self._predecessor.inherited.offer
            self._lock = self._predecessor.inherited.lock
            self.first_slot = offer.first_slot + offer.workers if offer.first_slot < workers else 0
        else:
            self._lock = claim_state(layout)

    @property
    def is_successor(self) -> bool:
        """Whether another gateway was met that still owns the state directory, as far as we heard."""
        return self._predecessor is not None and not self.owns_state

    @property
    def slots(self) -> range:
        """The slots of our workers."""
        return range(self.first_slot, self.first_slot + self._workers)

    def listen(self, server: ServerSettings) -> list[socket.socket]:
        """Return the listeners for data, administration and metrics; raise CannotListen."""
        inherited: Sequence[socket.socket | None] = (None, None, None)
        if self._predecessor is not None:
            inherited = self._predecessor.inherited.listeners
        addresses = (
            (server.host, server.port, ""),
            (server.admin_host, server.admin_port, "admin-"),
            (server.metrics_host, server.metrics_port, "metrics-"),
        )
        for kept, (host, port, option) in zip(inherited, addresses, strict=True):
            self._listeners.append(
                bind_or_keep(kept, host, port, option) if kept else bind(host, port, option)
            )
        return self._listeners

    @property
    def ports(self) -> Ports:
        """Where this gateway answers."""
        data, admin, metrics = map(url_of, self._listeners)
        return Ports(os.getpid(), data, admin, metrics, tuple(self.slots))

    def take_possession(self, ports: Ports) -> None:
        """Do what only the owner of the state directory may do, and wait for a successor from now on."""
        self.owns_state = True
        name_owner(self._lock)
        GenerationStore(self._layout.desired).remove_unfinished()
        bury_dead_slots(self._layout)
        write_ports(self._layout.root, ports)
        try:
            self._logger.attach(Journal(self._layout.events, "supervisor"))
            self._door = Door(self._layout.handover)
        except OSError as error:  # a full disk; serving goes on
            self._logger.error("state_not_written", reason=error.strerror)
        if self._predecessor is None:
            self._logger.info("gateway_started", why=f"Driftgate {__version__} on {ports.data}")
        else:
            pid = self._predecessor.inherited.offer.pid
            self._logger.info("gateway_taken_over", why=f"Driftgate {__version__} replaces process {pid}")

    def predecessor_has_left(self) -> bool:
        """Say to the old gateway that our workers accept, and tell whether it has given everything up."""
        if self._predecessor is None:
            return True
        self._predecessor.say_ready()
        return self._predecessor.has_left()

    def successor_is_ready(self) -> bool:
        """Let a successor in, if one waits, and tell whether its workers accept."""
        if self._door is None:
            return False
        offer = Offer(FORMAT, os.getpid(), self.first_slot, self._workers)
        self._door.welcome(offer, self._listeners, self._lock)
        return self._door.successor_is_ready()

    def successor_is_gone(self) -> bool:
        """Tell whether the successor that was let in has ended."""
        return self._door is None or self._door.successor_is_gone()

    def give_away(self) -> None:
        """Leave the state directory to the successor; we write nothing of it any more."""
        self._logger.info("gateway_handed_over", why="another process takes over")
        self._logger.detach()
        self.owns_state = False
        if self._door is not None:
            self._door.hand_over()

    def close_listeners(self) -> None:
        """Leave the sockets to the children: the last one to close its copy refuses what comes after."""
        for listener in self._listeners:
            listener.close()

    def end(self) -> None:
        """Give back everything, after the last child has ended."""
        self.close_listeners()
        if self.owns_state:
            self._logger.info("gateway_stopped")
            self._layout.handover.unlink(missing_ok=True)
            (self._layout.root / PORTS_FILE).unlink(missing_ok=True)
        # last, for a successor takes this for the word that everything is its own
        for end in (self._predecessor, self._door):
            if end is not None:
                end.close()
        os.close(self._lock)
