"""The process that writes pushed features, one per gateway; it runs once the registry declares views.

A process of its own, because each write waits for the disk: in the control process the admin API would wait
with it, in a worker predictions would; were it paused or killed, nothing but pushes would wait. Workers send
it rows over a unix socket. What arrives while the disk is busy is written together with the next commit.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.snapshots import ViewFiles, snapshot_numbers
from driftgate.features.errors import StoreError, StoreFull
from driftgate.features.lookup.store import NO_SNAPSHOT
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.views.view import VIEW_NAME
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.feature_compactions import Compactions
from driftgate.gateway.processes.feature_frames import (
    Failed,
    MalformedFrame,
    Push,
    Pushed,
    Reply,
    encode_frame,
    pushes_in,
)
from driftgate.gateway.processes.socket_names import reachable
from driftgate.gateway.processes.spawn import (
    ChildArguments,
    child_arguments,
    die_with_parent,
    dump_stacks_on_signal,
)
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.settings import Settings
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.feature_counters import snapshots_read
from driftgate.gateway.state.slots import take_lock

LOOK_EVERY_S = 0.5
CHECK_EVERY_S = 10.0
DAY_S = 86_400.0
SETTLED_S = 10.0
"""How old a snapshot is before pushes that it holds leave the delta; readers take it up within 50 ms."""
READ_BYTES = 2**20
MAX_UNREAD_BYTES = 2**20
"""Of replies that a client does not take; then it is dropped."""
BACKLOG = 128


class FeatureWriter:
    """Life of the process: gather what has arrived, write it, answer; until SIGTERM."""

    def __init__(self, layout: StateLayout, settings: Settings, logger: Logger) -> None:
        self._logger = logger
        self._settings = settings.features
        self._layout = layout
        self._root = layout.features
        self._beat = Beat.create(
            layout.feature_writer_beat, uuid.uuid4().hex, os.getpid(), time.monotonic_ns()
        )
        self._deltas: dict[str, DeltaWriter] = {}
        self._trimming: dict[str, Iterator[int]] = {}
        self._moving: set[str] = set()
        """Views whose noted pushes are being moved into files."""
        self._compactions = Compactions(
            layout.root, Path(settings.server.registry), self._settings.compact_rows, logger
        )
        self._problems = Repeats()
        self._selector = selectors.DefaultSelector()
        self._listener = _listening(layout.feature_writer_socket)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopping = False
        self._checked_at = -CHECK_EVERY_S

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; what has arrived by then is written."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        self._beat.state = BeatState.ACCEPTING
        self._logger.info("writing_features", pid=os.getpid())
        while not self._stopping:
            self._turn(0.0 if self._trimming or self._moving else LOOK_EVERY_S)
        self._turn(0.0)
        self._compactions.close()
        for delta in self._deltas.values():
            delta.close()
        self._beat.state = BeatState.DEAD

    def _turn(self, patience_s: float) -> None:
        asked: list[tuple[_Peer, Push]] = []
        for key, events in self._selector.select(patience_s):
            if key.fileobj is self._listener:
                self._accept()
            else:
                asked += self._hear(key.data, events)
        self._answer(asked)
        self._beat.pulse(time.monotonic_ns(), 0, len(asked), len(self._selector.get_map()) - 1)
        self._trim_a_little()
        self._move_a_little()
        if time.monotonic() >= self._checked_at + CHECK_EVERY_S:
            self._checked_at = time.monotonic()
            self._check()

    def _check(self) -> None:
        """Free the places of readers that died, and begin to trim what a new snapshot holds."""
        for view in sorted(entry.parent.name for entry in self._root.glob("*/delta")):
            try:
                delta = self._delta(view)
                delta.check_readers()
                if self._is_read(view) and delta.has_new_snapshot(SETTLED_S):
                    self._trimming[view] = delta.trimming()
                self._moving.add(view)
                delta.forget_history(
                    time.time() - self._settings.push_history_days * DAY_S, self._settings.push_history_bytes
                )
            except (StoreError, OSError) as error:
                self._give_up(view, error)
        pending = {view: delta.pending for view, delta in self._deltas.items() if view not in self._trimming}
        self._compactions.step(pending, time.monotonic())

    def _is_read(self, view: str) -> bool:
        """Tell whether every worker reads a snapshot that is kept: what all hold may leave the delta."""
        kept = {NO_SNAPSHOT, *snapshot_numbers(ViewFiles(self._root, view))}
        behind = [slot for slot, number in snapshots_read(self._layout, view).items() if number not in kept]
        reason = f"slots {behind} read a snapshot that is gone"
        if behind and self._problems.is_news(f"{view}: {reason}", time.monotonic()):
            self._logger.error("features_not_trimmed", view=view, reason=reason)
        return not behind

    def _trim_a_little(self) -> None:
        """One short transaction a turn, so that no push waits long."""
        for view, trimming in list(self._trimming.items()):
            try:
                if next(trimming, None) is None:
                    del self._trimming[view]
            except (StoreError, OSError) as error:
                self._give_up(view, error)

    def _move_a_little(self) -> None:
        """One file a turn, so that no push waits long."""
        for view in list(self._moving):
            try:
                if not self._delta(view).move_history(int((time.time() - DAY_S) * 1e6)):
                    self._moving.remove(view)
            except (StoreError, OSError) as error:
                self._give_up(view, error)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, _Peer(connection))

    def _hear(self, peer: "_Peer", events: int) -> "list[tuple[_Peer, Push]]":
        try:
            if events & selectors.EVENT_WRITE:
                self._send(peer)
            return [(peer, push) for push in peer.heard()] if events & selectors.EVENT_READ else []
        except (OSError, MalformedFrame) as error:
            self._drop(peer, "" if isinstance(error, OSError) else str(error))
            return []

    def _answer(self, asked: "Sequence[tuple[_Peer, Push]]") -> None:
        """All pushes to a view are one commit."""
        for view in dict.fromkeys(push.view for _, push in asked):
            pushes = [(peer, push) for peer, push in asked if push.view == view]
            replies = self._push(view, [push for _, push in pushes])
            for (peer, _), reply in zip(pushes, replies, strict=True):
                self._reply(peer, reply)

    def _push(self, view: str, pushes: Sequence[Push]) -> list[Reply]:
        rows: list[PackedRow] = [row for push in pushes for row in zip(push.keys, push.rows, strict=True)]
        try:
            outcomes = self._delta(view).push(rows, time.time_ns() // 1000)
        except (StoreError, OSError) as error:
            reason = self._give_up(view, error)
            if len(pushes) > 1:  # what is wrong with one is no fault of the others
                return [reply for push in pushes for reply in self._push(view, [push])]
            return [Failed(push.id, reason, isinstance(error, StoreFull)) for push in pushes]
        packed, replies = bytes(outcomes), list[Reply]()
        for push in pushes:
            replies.append(Pushed(push.id, packed[: len(push.rows)]))
            packed = packed[len(push.rows) :]
        return replies

    def _delta(self, view: str) -> DeltaWriter:
        if view not in self._deltas:
            if not VIEW_NAME.fullmatch(view):
                raise StoreError("no view can have this name")
            self._deltas[view] = DeltaWriter(self._root, view, self._settings.push_history_days > 0)
        return self._deltas[view]

    def _give_up(self, view: str, error: Exception) -> str:
        """Close the delta, which is opened again for the next push: after some errors LMDB wants that."""
        self._trimming.pop(view, None)
        self._moving.discard(view)
        if view in self._deltas:
            self._deltas.pop(view).close()
        reason = str(error) if isinstance(error, StoreError) else "the store's files cannot be used"
        if self._problems.is_news(f"{view}: {reason}", time.monotonic()):
            self._logger.error("features_not_written", view=view, reason=reason)
        return reason

    def _reply(self, peer: "_Peer", reply: Reply) -> None:
        peer.unsent += encode_frame(reply)
        if len(peer.unsent) > MAX_UNREAD_BYTES:
            self._drop(peer, "it does not take its answers")
            return
        with contextlib.suppress(OSError):
            self._send(peer)

    def _send(self, peer: "_Peer") -> None:
        if peer.is_gone:
            return
        with contextlib.suppress(BlockingIOError):
            del peer.unsent[: peer.connection.send(peer.unsent)]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        self._selector.modify(peer.connection, wanted, peer)

    def _drop(self, peer: "_Peer", why: str) -> None:
        if why:
            self._logger.error("feature_client_dropped", reason=why)
        if not peer.is_gone:
            peer.is_gone = True
            self._selector.unregister(peer.connection)
            peer.connection.close()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True


class _Peer:
    """One connection of a worker."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unsent = bytearray()
        self.is_gone = False
        self._buffer = bytearray()

    def heard(self) -> list[Push]:
        """Return the pushes that are complete; raises OSError at the end, and MalformedFrame."""
        data = self.connection.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError
        self._buffer += data
        return list(pushes_in(self._buffer))


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with reachable(path) as name:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        listener.bind(name)
    listener.setblocking(False)
    listener.listen(BACKLOG)
    return listener


def main(argv: list[str] | None = None) -> None:
    """Write pushed features until SIGTERM."""
    arguments: ChildArguments = child_arguments(argv)
    die_with_parent(arguments.parent_pid)
    layout = StateLayout(Path(arguments.settings.server.state))
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if take_lock(layout.feature_writer_lock) is None:
        sys.exit("another process writes the features of this state directory")
    dump_stacks_on_signal(layout.feature_writer_stacks)
    settings = arguments.settings
    FeatureWriter(layout, settings, Logger("features", settings.models.log_format)).run()


if __name__ == "__main__":
    main()
