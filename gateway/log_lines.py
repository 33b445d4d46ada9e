"""Lines on their way out of a process, so that whoever has something to say never waits for a reader.

A terminal that is held, a log driver that is stuck or a full pipe costs lines, never a process its pace.
"""

import atexit
import contextlib
import threading
from collections import deque
from select import PIPE_BUF
from typing import BinaryIO, Protocol

MOST_BYTES = 2**20
"""What waits for a reader; more than that is a reader who has stopped."""
CLOSE_WITHIN_S = 0.5
"""Patience with the reader when the process ends."""


class LineSink(Protocol):
    """Where a logger's lines go."""

    def offer(self, line: bytes) -> bool:
        """Take a line, or return False if there is no room for it."""

    def close(self) -> None:
        """Write out what was taken, as far as that is possible within CLOSE_WITHIN_S."""


class DirectLines:
    """Writes each line at once, to a stream that makes nobody wait; what cannot be written is lost."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def offer(self, line: bytes) -> bool:
        """Write the line."""
        with contextlib.suppress(OSError):
            self._stream.write(line)
        return True

    def close(self) -> None:
        """Do nothing: every line is written."""


class QueuedLines:
    """Keeps up to `most_bytes` for a daemon thread that writes them to an unbuffered stream, in order.

    Each write is of whole lines and, unless one line is longer, at most PIPE_BUF bytes: a pipe takes that in
    one piece, so that the lines of several processes do not mix. The thread begins with the first line and
    ends with the process, which first gives it CLOSE_WITHIN_S.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int = MOST_BYTES) -> None:
        self._stream = stream
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    def offer(self, line: bytes) -> bool:
        """Queue a line; return False if there is no room for it."""
        with self._changed:
            if self._bytes + len(line) > self._most_bytes or not self._is_drained():
                return False
            self._lines.append(line)
            self._bytes += len(line)
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Wait until everything is written, but no longer than CLOSE_WITHIN_S."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, CLOSE_WITHIN_S)

    def _is_drained(self) -> bool:
        """Whether the thread runs; begins it if not."""
        if self._writer is None:
            writer = threading.Thread(target=self._write_all, name="log-lines", daemon=True)
            try:
                writer.start()
            except RuntimeError:  # this machine has no room for another thread now
                return False
            self._writer = writer
            atexit.register(self.close)
        return True

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                piece = self._next_piece()
            # A log that nobody can take any more is no reason to stop serving
            with contextlib.suppress(OSError):
                self._stream.write(piece)
            with self._changed:
                self._bytes -= len(piece)
                self._changed.notify_all()

    def _next_piece(self) -> bytes:
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= PIPE_BUF:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        return b"".join(lines)
