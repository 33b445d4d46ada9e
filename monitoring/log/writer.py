"""The writer of one slot's prediction log: a bounded buffer, and a thread that empties it into segments.

On the event loop `append` only stamps and keeps a reference. Encoding, hashing, checksums and writing are the
thread's, mostly in calls that work on whole columns, since it shares the interpreter with the loop.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from driftgate.monitoring.log.counts import (
    BUFFERED_BYTES,
    BUFFERED_ROWS,
    DROPPED_BUFFER,
    DROPPED_DISK,
    DROPPED_INVALID,
    DROPPED_QUOTA,
    FAILED_WRITES,
    REFUSED,
    WRITES,
    WRITTEN_BYTES,
    WRITTEN_REQUESTS,
    WRITTEN_ROWS,
    LogCounts,
)
from driftgate.monitoring.log.encoder import BlockEncoder, EncodedBlock
from driftgate.monitoring.log.frames import Kind, Mark, encode_header, encode_mark, salt_of
from driftgate.monitoring.log.policy import LogPolicy
from driftgate.monitoring.log.record import OnDurable, TurnRecord
from driftgate.monitoring.log.segments import write_end
from driftgate.monitoring.log.store import QuotaFull, SegmentStore, now_us

ROOM_BYTES = 2**20
"""Room in the quota that must be there again before requests are taken again."""

SLOW_S = 0.02
"""A write that took longer says that the disk is slow; into the page cache one takes some microseconds."""
SLOW_FOR_S = 1.0
"""How long the event loop leaves writing to the thread after that."""

CLOSE_S = 5.0
"""Patience at the end with a disk that does not answer."""

OnProblem = Callable[[str], None]


class LogWriter:
    """Records the turns of one worker. `append`, `flush` and `close` are for the event loop's thread alone.

    `step` does what the thread does once; without `start` it may be called by hand.
    """

    def __init__(
        self,
        store: SegmentStore,
        boot: str,
        policy: LogPolicy,
        counts: LogCounts,
        on_problem: OnProblem = lambda text: None,
    ) -> None:
        """`on_problem` is told, from the writer's thread, when writing begins to fail."""
        self._store = store
        self._boot = boot
        self._salt = salt_of(boot)
        self._encoder = BlockEncoder(policy.key)
        self._policy = policy
        self._counts = counts
        self._on_problem = on_problem
        self._before = (counts.cells[WRITTEN_ROWS], counts.dropped_rows)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[tuple[TurnRecord, OnDurable | None]] = []
        self._rows = 0
        self._bytes = 0
        self._last_us = 0
        self._sequence = 0
        self._marked_at = 0.0
        self._mark_with_rows_s = min(policy.flush_every_s, policy.mark_every_s)
        self._slow_until = 0.0
        self._failing = False
        self._closing = False
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    @classmethod
    def open(
        cls,
        directory: Path,
        boot: str,
        policy: LogPolicy,
        counts: LogCounts,
        on_problem: OnProblem = lambda text: None,
    ) -> "LogWriter":
        """Begin the log of a boot in `directory` and start its thread; raise OSError."""
        writer = cls(SegmentStore(directory, boot, policy), boot, policy, counts, on_problem)
        writer.step()
        writer._thread.start()
        return writer

    @property
    def refusing(self) -> bool:
        """Whether requests are to be refused before they are computed, because they cannot be recorded."""
        return self._policy.when_full == "refuse" and (
            self._failing
            or self._rows >= self._policy.buffer_rows
            or self._bytes >= self._policy.buffer_bytes
        )

    def append(self, turn: TurnRecord, on_durable: OnDurable | None = None) -> bool:
        """Take the records of one call; return False if its requests must be refused.

        A turn that is larger than the buffer is taken while the buffer is empty.
        """
        rows, size, policy = turn.rows, turn.size_bytes, self._policy
        if not self._failing or not self.refusing:
            with self._lock:
                waiting = self._waiting
                if not waiting or (
                    self._rows + rows <= policy.buffer_rows and self._bytes + size <= policy.buffer_bytes
                ):
                    at_us = time.time_ns() // 1000
                    if at_us > self._last_us:
                        self._last_us = at_us
                    turn.recorded_us = self._last_us
                    waiting.append((turn, on_durable))
                    self._rows += rows
                    self._bytes += size
                    hurry = on_durable is not None and policy.mode == "fsync"
                    if hurry or self._rows * 2 > policy.buffer_rows:
                        self._ring()
                    return True
        return self._not_taken(rows, on_durable)

    def close(self) -> None:
        """Write what is left, say that the boot logs no more, and let the thread end."""
        self._closing = True
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                return  # the disk does not answer; the supervisor will say that this boot has ended
        self.step()
        self._store.close()
        with contextlib.suppress(OSError):
            write_end(
                self._store.directory,
                self._boot,
                self._store.next_number,
                self._sequence,
                self._mark(now_us()),
            )

    def step(self) -> None:
        """Write what has gathered, and a watermark when one is due; from any thread."""
        with self._writing:
            self._step()

    def flush(self) -> None:
        """Write what a turn of the event loop has gathered, or leave it to the thread while the disk is slow.

        One write into the page cache costs less than waking the thread and being woken by it.
        """
        if time.monotonic() < self._slow_until or not self._writing.acquire(blocking=False):
            self._ring()
            return
        try:
            self._step()
        finally:
            self._writing.release()

    def _step(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            rows, size, self._rows, self._bytes = self._rows, self._bytes, 0, 0
            self._last_us = mark_us = max(self._last_us, now_us())
        cells = self._counts.cells
        cells[BUFFERED_ROWS], cells[BUFFERED_BYTES] = rows, size
        now = time.monotonic()
        if not waiting:
            if now - self._marked_at >= self._policy.mark_every_s:
                self._write_mark(mark_us, now)
            return
        lost = [True] * len(waiting)
        try:
            blocks, lost = self._encode([turn for turn, _ in waiting])
            if not self._write(blocks, mark_us, now):
                lost = [True] * len(waiting)
        finally:
            self._tell(waiting, lost)

    def _tell(self, waiting: list[tuple[TurnRecord, OnDurable | None]], lost: list[bool]) -> None:
        may_lose = self._policy.when_full == "drop"
        for (_, on_durable), is_lost in zip(waiting, lost, strict=True):
            if on_durable is not None:
                # The loop may have ended meanwhile; then nobody waits.
                with contextlib.suppress(RuntimeError):
                    on_durable(may_lose or not is_lost)

    def _not_taken(self, rows: int, on_durable: OnDurable | None) -> bool:
        if self._policy.when_full == "refuse":
            self._counts.cells[REFUSED] += rows
            return False
        self._counts.cells[DROPPED_BUFFER] += rows
        if on_durable is not None:
            on_durable(True)
        return True

    def _ring(self) -> None:
        if self._bell.locked():
            with contextlib.suppress(RuntimeError):
                self._bell.release()

    def _run(self) -> None:
        while not self._closing:
            self._bell.acquire(timeout=self._policy.flush_every_s)
            try:
                self.step()
            except Exception as error:  # the thread's edge: a log that stops would be worse
                self._on_problem(f"{type(error).__name__}: {error}")

    def _encode(self, turns: list[TurnRecord]) -> tuple[list[EncodedBlock], list[bool]]:
        """Return the blocks of the turns, and which turns cannot be encoded."""
        try:
            return self._encoder.encode(turns), [False] * len(turns)
        except Exception as error:  # a record that cannot be encoded must not take the others with it
            self._on_problem(f"a record cannot be encoded: {type(error).__name__}: {error}")
        blocks: list[EncodedBlock] = []
        lost = [False] * len(turns)
        for place, turn in enumerate(turns):
            try:
                blocks += self._encoder.encode([turn])
            except Exception:  # told above, counted here
                self._counts.cells[DROPPED_INVALID] += turn.rows
                lost[place] = True
        return blocks, lost

    def _write(self, blocks: list[EncodedBlock], mark_us: int, now: float) -> bool:
        """Write blocks in one go, with a watermark if one is due; return whether they were written."""
        parts: list[bytes] = []
        sequence, records, requests = self._sequence, 0, 0
        for block in blocks:
            parts += (encode_header(Kind.BLOCK, sequence, block.payload, self._salt), block.payload)
            sequence += 1
            records += block.records
            requests += block.requests
        marks = now - self._marked_at >= self._mark_with_rows_s
        if marks:
            parts.append(encode_mark(Kind.MARK, sequence, self._mark(mark_us, records), self._salt))
            sequence += 1
        data = b"".join(parts)
        reason = self._try(data, now)
        ended = time.monotonic()
        if ended - now > SLOW_S:
            self._slow_until = ended + SLOW_FOR_S
        cells = self._counts.cells
        if reason is not None:
            cells[reason] += records
            self._write_mark(mark_us, now)
            return False
        self._sequence = sequence
        if marks:
            self._marked_at = now
        cells[WRITTEN_ROWS] += records
        cells[WRITTEN_REQUESTS] += requests
        cells[WRITTEN_BYTES] += len(data)
        cells[WRITES] += 1
        return True

    def _try(self, data: bytes, now: float) -> int | None:
        """Return None if `data` was written, else the cell that counts what is lost."""
        try:
            self._store.write(data, now)
        except QuotaFull:
            self._note_failure("the quota is full of records that have not been archived")
            return DROPPED_QUOTA
        except OSError as error:
            self._note_failure(str(error.strerror))
            return DROPPED_DISK
        self._failing = False
        return None

    def _write_mark(self, mark_us: int, now: float) -> None:
        self._marked_at = now
        mark = encode_mark(Kind.MARK, self._sequence, self._mark(mark_us), self._salt)
        try:
            self._store.write(mark, now, beyond_quota=True)
        except OSError as error:
            self._note_failure(str(error.strerror))
        else:
            self._sequence += 1
            self._failing = self._failing and not self._store.has_room(ROOM_BYTES, now)

    def _mark(self, time_us: int, more_rows: int = 0) -> Mark:
        written, dropped = self._before
        rows = self._counts.cells[WRITTEN_ROWS] + more_rows - written
        return Mark(time_us, rows, self._counts.dropped_rows - dropped)

    def _note_failure(self, reason: str) -> None:
        self._counts.cells[FAILED_WRITES] += 1
        if not self._failing:
            self._failing = True
            self._on_problem(f"the prediction log cannot be written: {reason}")
