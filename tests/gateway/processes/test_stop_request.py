"""Being told to stop is noticed whenever it happens."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from driftgate.gateway.processes.stop_request import StopRequest

LONG_S = 60.0
SOON_S = 20.0


@pytest.fixture(name="stop")
def stop_fixture() -> Iterator[StopRequest]:
    """A request that takes the signals of this process while the test runs."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    request = StopRequest()
    request.install()
    yield request
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def steps_of_pause(stop: StopRequest, told_at: int = 0) -> int:
    """Pause while SIGTERM comes before the step with this number; return how many steps there were."""
    steps = 0

    def at_step(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += 1
        if steps == told_at:
            signal.raise_signal(signal.SIGTERM)
        return at_step

    before = sys.gettrace()
    sys.settrace(at_step)
    try:
        stop.pause(0.01)
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.timeout(30)
def test_a_pause_ends_wherever_the_signal_comes(stop: StopRequest) -> None:
    """The signal may come before any instruction of a pause: its handler never waits for a lock."""
    steps = steps_of_pause(stop)
    assert steps > 10
    for step in range(1, steps + 1):
        stop.asked = False
        reached = steps_of_pause(stop, told_at=step) >= step
        assert stop.asked is reached


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_wakes_a_long_pause(stop: StopRequest, number: signal.Signals) -> None:
    """Whoever sleeps when the signal comes does not sleep on."""
    began = time.monotonic()
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.start()
    stop.pause(LONG_S)
    timer.join()
    assert stop.asked
    assert time.monotonic() - began < SOON_S


def test_a_pause_without_a_signal_takes_its_time(stop: StopRequest) -> None:
    """Nobody asked: the pause is over by itself."""
    stop.pause(0.01)
    assert not stop.asked
