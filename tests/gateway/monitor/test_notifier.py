"""Telling receivers: in order, again after failures, and none because of another."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from driftgate.gateway.monitor.notifier import MOST_WAITING, Notifier, Parcel, Told
from driftgate.monitoring.alerts.alert import State
from driftgate.monitoring.alerts.delivery import NotDelivered, Receiver
from driftgate.monitoring.alerts.status import ReceiverFigure

from harness.gateway import until

WITHIN_S = 30.0


class Memory:
    """A receiver that remembers what it took, after failing so many times."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.taken = list[bytes]()
        self.attempts = 0
        self._failures = failures
        self._error = error or NotDelivered("not now")

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Take a document."""
        self.attempts += 1
        if self.attempts <= self._failures:
            raise self._error
        self.taken.append(body)


class Hanging:
    """A receiver that never answers."""

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


def parcel(receiver: str, number: int = 0) -> Parcel:
    """Return a document about one alert."""
    return Parcel(receiver, f"d{number}", b"%d" % number, (Told(f"a{number}", State.FIRING),))


@pytest.fixture(name="notifier")
def notifier_fixture() -> Iterator[Callable[[dict[str, Receiver]], Notifier]]:
    """Start notifiers that try again soon; each is stopped with the test."""
    started: list[Notifier] = []

    def begin(receivers: dict[str, Receiver]) -> Notifier:
        started.append(Notifier(receivers, lambda text: None, first_pause_s=0.001))
        started[-1].start()
        return started[-1]

    yield begin
    for one in started:
        one.stop(WITHIN_S)


def figure(notifier: Notifier, name: str) -> ReceiverFigure:
    """Return how one receiver fares."""
    return next(one for one in notifier.figures() if one.name == name)


def test_what_fails_is_tried_again(notifier: Callable[[dict[str, Receiver]], Notifier]) -> None:
    """A receiver that fails for a while gets everything, in order, and its figures say so."""
    memory = Memory(failures=3)
    running = notifier({"a": memory})
    for number in range(3):
        running.offer(parcel("a", number))
    until(lambda: len(memory.taken) == 3, WITHIN_S, "all is delivered")
    assert memory.taken == [b"0", b"1", b"2"]
    until(lambda: figure(running, "a") == ReceiverFigure("a", sent=3, failed=3), WITHIN_S, "it is counted")
    assert [one.id for one in running.delivered()] == ["d0", "d1", "d2"]
    assert running.delivered() == []


@pytest.mark.parametrize("error", [NotDelivered("no", again=False), RuntimeError("a defect")])
def test_what_is_final_is_dropped(
    notifier: Callable[[dict[str, Receiver]], Notifier], error: Exception
) -> None:
    """A refusal for good, or a defect, costs that notification and not the next."""
    memory = Memory(failures=1, error=error)
    running = notifier({"a": memory})
    running.offer(parcel("a", 1))
    running.offer(parcel("a", 2))
    until(lambda: memory.taken == [b"2"], WITHIN_S, "the next is delivered")
    until(lambda: figure(running, "a").dropped == 1, WITHIN_S, "it is counted")


def test_a_receiver_that_hangs_delays_no_other(notifier: Callable[[dict[str, Receiver]], Notifier]) -> None:
    """Each receiver has a queue of its own, which is bounded, and what does not fit is counted."""
    memory = Memory()
    running = notifier({"hangs": Hanging(), "works": memory})
    for number in range(MOST_WAITING + 11):
        running.offer(parcel("hangs", number))
    running.offer(parcel("works", 1))
    until(lambda: memory.taken == [b"1"], WITHIN_S, "the other is told")
    hanging = figure(running, "hangs")
    assert hanging.dropped in (10, 11)  # one of them may be under way
    assert hanging.waiting in (MOST_WAITING - 1, MOST_WAITING)


class SlowAtFirst(Memory):
    """A receiver whose first delivery takes a moment."""

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Take a document, the first one slowly."""
        await asyncio.sleep(0 if self.attempts else 0.2)
        await super().deliver(body, delivery, now_s)


def test_what_is_dropped_during_a_delivery_is_counted(
    notifier: Callable[[dict[str, Receiver]], Notifier],
) -> None:
    """A receiver's figures add up, whatever happens while it takes its time."""
    memory, count = SlowAtFirst(), MOST_WAITING + 50
    running = notifier({"slow": memory})
    for number in range(count):
        running.offer(parcel("slow", number))
    until(
        lambda: figure(running, "slow").sent + figure(running, "slow").dropped == count, WITHIN_S, "the sum"
    )
    assert figure(running, "slow").dropped in (49, 50)
    assert len(memory.taken) == figure(running, "slow").sent
