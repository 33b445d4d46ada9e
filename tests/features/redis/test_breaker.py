"""When a store that fails is asked again."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from driftgate.features.redis.breaker import LONGEST_WAIT_S, SHORTEST_WAIT_S, SPREAD, Breaker, BreakerState

MIDDLE = 0.5
"""The chance that spreads a wait by nothing."""


def after(attempts: Sequence[tuple[float, bool]]) -> Breaker:
    """Return a breaker after attempts, each a time and whether it ended well."""
    breaker = Breaker(lambda: MIDDLE)
    for now, well in attempts:
        (breaker.succeeded if well else breaker.failed)(now)
    return breaker


def every(seconds: float, outcomes: str) -> list[tuple[float, bool]]:
    """Return attempts from time 0; `+` ends well and `-` fails."""
    return [(index * seconds, outcome == "+") for index, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("attempts", "state"),
    [
        ([], BreakerState.CLOSED),
        (every(0.01, "----"), BreakerState.CLOSED),
        (every(0.01, "-----"), BreakerState.OPEN),
        (every(60, "-----"), BreakerState.OPEN),
        (every(0.01, "----+----"), BreakerState.CLOSED),
        (every(0.1, "+-" * 9 + "+"), BreakerState.CLOSED),
        (every(0.1, "+-" * 10), BreakerState.OPEN),
        (every(0.1, "++-" * 10), BreakerState.CLOSED),
        (every(0.6, "+-" * 10), BreakerState.CLOSED),
        (
            [*every(0.001, "+" * 200), *((11 + at, well) for at, well in every(0.1, "+-" * 10))],
            BreakerState.OPEN,
        ),
    ],
)
def test_it_opens_on_many_failures(attempts: list[tuple[float, bool]], state: BreakerState) -> None:
    """Five failures in a row open it, or half of at least 20 attempts within 10 s, and nothing less."""
    assert after(attempts).state is state


def test_an_open_one_lets_one_probe_through() -> None:
    """Nobody asks before the wait is over; then exactly one does."""
    breaker = after(every(0, "-----"))
    assert not breaker.allows(0.999)
    assert breaker.allows(1.0)
    assert breaker.state is BreakerState.PROBING
    assert not breaker.allows(1.0)


def test_a_probe_that_ends_well_closes_it() -> None:
    """After a good probe everyone asks, and what failed before is forgotten."""
    breaker = after(every(0, "-----"))
    assert breaker.allows(1.0)
    breaker.succeeded(1.0)
    breaker.failed(1.1)
    assert breaker.state is BreakerState.CLOSED


def test_every_failed_probe_doubles_the_wait() -> None:
    """Waits are 1, 2, 4, 8, 16, 30, 30 seconds, and 1 again after a good probe."""
    breaker = after(every(0, "-----"))
    now, waits = 0.0, []
    for _ in range(7):
        began = now
        while not breaker.allows(now):
            now += 0.25
        waits.append(now - began)
        breaker.failed(now)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    now += LONGEST_WAIT_S
    assert breaker.allows(now)
    breaker.succeeded(now)
    for _ in range(5):
        breaker.failed(now)
    assert breaker.allows(now + SHORTEST_WAIT_S)


@pytest.mark.parametrize(("chance", "wait_s"), [(0.0, 0.8), (0.5, 1.0), (0.999999, 1.2)])
def test_waits_are_spread(chance: float, wait_s: float) -> None:
    """A wait is up to 20 % shorter or longer, so that processes do not probe in step."""
    breaker = Breaker(lambda: chance)
    for _ in range(5):
        breaker.failed(0.0)
    assert not breaker.allows(wait_s - 0.001)
    assert breaker.allows(wait_s)


def test_a_probe_that_never_ends_is_followed_by_another() -> None:
    """A probe that was lost does not keep it open for ever."""
    breaker = after(every(0, "-----"))
    assert breaker.allows(1.0)
    assert not breaker.allows(1.0 + LONGEST_WAIT_S - 1)
    assert breaker.allows(1.0 + LONGEST_WAIT_S)


class Store(RuleBasedStateMachine):
    """A breaker in front of a store that fails or not, with time going by."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(lambda: MIDDLE)
        self.now = 0.0
        self.failed_in_a_row = 0
        self.opened_at = 0.0

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds

    @rule(well=st.booleans(), times=st.integers(1, 6))
    def ask(self, well: bool, times: int) -> None:
        """Ask if that is allowed, and tell how it ended."""
        for _ in range(times):
            was = self.breaker.state
            if not self.breaker.allows(self.now):
                return
            self.failed_in_a_row = 0 if well else self.failed_in_a_row + 1
            (self.breaker.succeeded if well else self.breaker.failed)(self.now)
            if self.breaker.state is BreakerState.OPEN:
                assert not well
                self.opened_at = self.now
            assert was is BreakerState.CLOSED or self.breaker.state is not BreakerState.PROBING

    @precondition(lambda self: self.breaker.state is BreakerState.OPEN)
    @rule()
    def outlast(self) -> None:
        """Whatever happened, after the longest wait there is a probe."""
        self.now = self.opened_at + LONGEST_WAIT_S * (1 + SPREAD)
        assert self.breaker.allows(self.now)
        self.breaker.succeeded(self.now)
        self.failed_in_a_row = 0

    @invariant()
    def never_closed_after_five_failures(self) -> None:
        """Five failures in a row never leave it closed."""
        assert self.failed_in_a_row < 5 or self.breaker.state is not BreakerState.CLOSED


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
