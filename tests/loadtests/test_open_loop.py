import asyncio
import time
from contextlib import ExitStack

import pytest

from loadtests.arrivals import Arrivals, Point, steady
from loadtests.closed_loop import ClosedLoop, Peak
from loadtests.open_loop import OpenLoop, Plan, Run
from loadtests.target import Question, Target
from loadtests.wire import Address, Answer, render

from harness.stand_in_server import OK, Reply, stalling, stand_in

pytestmark = pytest.mark.alone

REQUEST = render("POST", "/x", b"{}")
STALL_S = 0.3


def target(right: bool = True) -> Target:
    return Target("x", (Question(REQUEST, lambda answer: right),))


def run(port: int, plan: Plan) -> Run:
    return asyncio.run(OpenLoop(plan, Address("127.0.0.1", port)).run())


def peak(port: int, seconds: float) -> Peak:
    return asyncio.run(ClosedLoop(target(), Address("127.0.0.1", port), 1).run(seconds))


def test_a_stall_is_seen_by_every_request_that_was_due_in_it() -> None:
    """A server that stands still for 0.3 of 1 s shows that in the p90, not only in the maximum."""
    with stand_in(stalling(100, STALL_S)) as port:
        seen = run(port, Plan((target(),), steady(500, 1.0), connections=4)).tally
    assert seen.answered == 500
    assert seen.latency().p99 >= 1000 * STALL_S * 0.9
    assert seen.latency().p90 >= 1000 * STALL_S * 0.5
    assert seen.latency().p50 < 1000 * STALL_S * 0.5


def test_a_closed_loop_hides_the_same_stall() -> None:
    """A closed loop sees the stall once: its p99 stays small, which is why it only finds peaks."""
    with stand_in(stalling(100, STALL_S)) as port:
        seen = peak(port, 1.0)
    assert seen.answered > 500
    assert seen.latency.p99 < 1000 * STALL_S * 0.5
    assert seen.latency.longest >= 1000 * STALL_S * 0.9


@pytest.mark.parametrize(
    ("reply", "right", "kinds"),
    [
        (lambda number: OK, True, set()),
        (lambda number: OK, False, {"mismatch"}),
        (lambda number: b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", True, {"status 503"}),
        (lambda number: None, True, {"closed"}),
        (lambda number: b"rubbish\r\n\r\n", True, {"closed"}),
        (lambda number: b"", True, {"timeout"}),
    ],
)
def test_errors_are_told_apart(reply: Reply, right: bool, kinds: set[str]) -> None:
    """What came back wrong is counted under what was wrong with it, and every request is accounted for."""
    with stand_in(reply) as port:
        seen = run(port, Plan((target(right),), steady(100, 0.2), connections=32, timeout_s=0.3))
    assert set(seen.tally.errors) == kinds
    assert seen.tally.answered + seen.tally.failed == seen.offered == 20


def test_a_server_that_goes_away_is_a_connect_error() -> None:
    """When nothing listens any more, requests wait for a connection and fail as connect."""

    async def left_alone(port: int, stack: ExitStack) -> Run:
        plan = Plan((target(),), steady(100, 0.5), connections=1, timeout_s=0.1)
        task = asyncio.create_task(OpenLoop(plan, Address("127.0.0.1", port)).run())
        await asyncio.sleep(0.1)
        stack.close()
        return await task

    answers = [OK] * 5 + [None]
    with ExitStack() as stack:
        port = stack.enter_context(stand_in(lambda number: answers[min(number, 6) - 1]))
        seen = asyncio.run(left_alone(port, stack))
    assert seen.tally.errors["connect"] >= 20
    assert seen.tally.answered + seen.tally.failed == seen.offered == 50


def test_no_server_at_all_is_said_at_once() -> None:
    """Without anything to measure there is no run."""
    with stand_in(lambda number: OK) as port:
        pass
    with pytest.raises(OSError, match=r"refused|Connect"):
        run(port, Plan((target(),), steady(100, 0.3)))


def test_the_generator_says_when_it_was_late_itself() -> None:
    """A loop that is kept from running is reported as the bottleneck, in words."""

    async def disturbed(port: int) -> Run:
        loop = OpenLoop(Plan((target(),), steady(200, 0.5)), Address("127.0.0.1", port))
        task = asyncio.create_task(loop.run())
        for _ in range(5):
            await asyncio.sleep(0.05)
            time.sleep(0.03)  # noqa: ASYNC251 - to be late is the point
        return await task

    with stand_in(lambda number: OK) as port:
        seen = asyncio.run(disturbed(port))
    assert seen.fitness.late_p99_ms > 5
    assert any("the generator was the bottleneck" in problem for problem in seen.fitness.problems)


def test_waiting_for_a_connection_is_counted_as_latency() -> None:
    """With one connection to a slow server, requests wait for it, and that is said and measured."""

    def slowly(number: int) -> bytes:
        time.sleep(0.02)
        return OK

    with stand_in(slowly) as port:
        seen = run(port, Plan((target(),), steady(100, 0.3), connections=1))
    assert seen.waited_for_connection > 10
    assert seen.tally.latency().longest > 200


def test_a_connection_that_the_server_ends_is_replaced() -> None:
    """After an answer with Connection: close the next request travels on a new connection, and none fails."""
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with stand_in(lambda number: last) as port:
        seen = run(port, Plan((target(),), steady(100, 0.3), connections=2))
    assert (seen.tally.answered, dict(seen.tally.errors)) == (30, {})


def test_targets_get_their_shares() -> None:
    """Several targets are asked in the shares of their weights and counted apart."""
    targets = (
        Target("often", (Question(REQUEST),), weight=3),
        Target("seldom", (Question(REQUEST),), weight=1),
    )
    with stand_in(lambda number: OK) as port:
        seen = run(port, Plan(targets, steady(2000, 0.5), connections=8)).tally
    counts = [seen.latency(target=number).count for number in (0, 1)]
    assert counts == [750, 250]


@pytest.mark.parametrize(
    ("points", "expected_s"),
    [
        ([(0, 4), (1, 4)], [0, 0.25, 0.5, 0.75]),
        ([(0, 2), (1, 2), (1, 4), (1.5, 4)], [0, 0.5, 1, 1.25]),
        ([(0, 0), (2, 4)], [0, 1, 2**0.5, 3**0.5]),
        ([(0, 4), (2, 0)], [0, 2 - 3**0.5, 2 - 2**0.5, 1]),
        ([(0, 0), (1, 0)], []),
    ],
)
def test_requests_are_due_when_the_rate_has_summed_up(
    points: list[tuple[float, float]], expected_s: list[float]
) -> None:
    """Request k is due when the integral of the rate reaches k, also where the rate rises, falls or jumps."""
    arrivals = Arrivals(tuple(Point(*point) for point in points))
    assert [due / 1e9 for due in arrivals.times_ns()] == pytest.approx(expected_s, abs=1e-6)
    assert arrivals.count == len(expected_s)


@pytest.mark.parametrize("points", [[(0, 1)], [(1, 1), (2, 1)], [(0, 1), (2, 1), (1, 1)], [(0, -1), (1, 1)]])
def test_impossible_arrivals_are_refused(points: list[tuple[float, float]]) -> None:
    """Rates begin at 0, go forward in time and are not negative."""
    with pytest.raises(ValueError, match=r"arrivals|rate"):
        Arrivals(tuple(Point(*point) for point in points))


def test_an_answer_keeps_what_checks_need() -> None:
    """The version, the body and the status of an answer reach the check, whatever the case of the header."""
    answers: list[Answer] = []

    def keep(answer: Answer) -> bool:
        answers.append(answer)
        return True

    with stand_in(lambda number: OK.replace(b"x-served-by", b"X-Served-By")) as port:
        run(port, Plan((Target("x", (Question(REQUEST, keep),)),), steady(10, 0.1)))
    assert answers == [Answer(200, b"version=1, arm=stable", b"{}")]
