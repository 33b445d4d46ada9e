"""Lines leave a process in order, and a reader who stops holds up nobody."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import PIPE_BUF

import pytest

from driftgate.gateway.log_lines import CLOSE_WITHIN_S, QueuedLines

TALKER = """
import os, sys
from driftgate.gateway.logs import Logger
logger = Logger("talker")
for number in range(20000):
    logger.info("said", number=number, text="x" * 200)
print("done", flush=True)
sys.stdin.readline()
logger.info("last")
if sys.argv[1] == "at once":
    logger.close()
    os._exit(0)
"""


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends are closed at the end."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with suppress(OSError):
            os.close(end)


def fill(writing: int) -> None:
    """Fill a pipe to the last byte."""
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * PIPE_BUF)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b".")
    os.set_blocking(writing, True)


def test_lines_are_written_whole_and_in_order() -> None:
    """Every write is of whole lines, and no longer than what a pipe takes in one piece."""
    pieces: list[bytes] = []
    begun, go_on = threading.Event(), threading.Event()

    class Stream:
        def write(self, piece: bytes) -> int:
            begun.set()
            go_on.wait(30)
            pieces.append(piece)
            return len(piece)

    lines = QueuedLines(Stream())  # type: ignore[arg-type]  # a stream that only writes
    said = [b"%05d %b\n" % (number, b"x" * (number % 1500)) for number in range(200)]
    said.append(b"y" * (PIPE_BUF + 1) + b"\n")
    for line in said:
        assert lines.offer(line)
    begun.wait(30)
    go_on.set()
    lines.close()
    assert b"".join(pieces) == b"".join(said)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= PIPE_BUF or piece.count(b"\n") == 1 for piece in pieces)
    assert len(pieces) < len(said)


@pytest.mark.alone
def test_what_waits_is_bounded_and_so_is_the_wait() -> None:
    """With a full pipe that nobody reads lines are taken up to the bound, and closing gives up in time."""
    with pipe() as (reading, writing), open(writing, "wb", buffering=0, closefd=False) as stream:
        fill(writing)
        lines = QueuedLines(stream, most_bytes=100)
        assert [lines.offer(b"x" * 39 + b"\n") for _ in range(3)] == [True, True, False]
        began = time.monotonic()
        lines.close()
        assert time.monotonic() - began < CLOSE_WITHIN_S + 0.5
        heard = b""
        while heard.count(b"\n") < 2:
            heard += os.read(reading, 2**20)
        lines.close()
        assert heard.lstrip(b".") == 2 * (b"x" * 39 + b"\n")


@pytest.mark.parametrize("exit_way", ["at once", "normally"])
def test_a_process_goes_on_while_nobody_reads_and_says_what_was_dropped(exit_way: str) -> None:
    """20,000 lines into a full pipe stop nobody; the reader who comes back learns how many are missing."""
    with pipe() as (reading, writing):
        fill(writing)
        talker = subprocess.Popen(
            [sys.executable, "-c", TALKER, exit_way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=writing,
        )
        os.close(writing)
        assert talker.stdin is not None
        assert talker.stdout is not None
        with talker, open(reading, "rb", closefd=False) as log:
            assert talker.stdout.readline() == b"done\n"
            heard = log.readline() + log.readline()
            talker.stdin.write(b"\n")
            talker.stdin.close()
            heard += log.read()
            assert talker.wait(60) == 0
    said = [json.loads(line) for line in heard.lstrip(b".").splitlines()]
    numbers = [line["number"] for line in said if line["event"] == "said"]
    assert numbers == sorted(numbers)
    assert said[-1]["event"] == "last"
    assert len(numbers) + said[-1]["lines_dropped"] == 20000
