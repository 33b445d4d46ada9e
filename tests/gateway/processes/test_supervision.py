"""What the supervisor decides, as tables of what it sees and what it then does."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.processes.supervision import (
    CONTROL_HUNG_S,
    HEALTHY_AFTER_S,
    LONGEST_DELAY_S,
    MONITOR_HUNG_S,
    MONITOR_STOP_S,
    STARTING_S,
    Child,
    Patience,
    Phase,
    Role,
    Snapshot,
    failures_after_exit,
    next_actions,
    restart_delay_s,
)
from driftgate.gateway.state.beat import BeatReading, BeatState, Run

NOW = 1000.0
RETIRED = frozenset({"retired", "a", "b", "c"})
PATIENCE = Patience(hung_after_s=4.0, stuck_inference_s=3.0, stop_s=10.0)


def beat(age_s: float = 0.1, state: BeatState = BeatState.ACCEPTING, *run_ages_s: float) -> BeatReading:
    runs = tuple(Run(f"model/{n + 1}", int((NOW - age) * 1e9)) for n, age in enumerate(run_ages_s))
    return BeatReading("boot", 7, state, int((NOW - age_s) * 1e9), 1, 0, 0, runs)


def unborn() -> BeatReading:
    """A beat whose process has made the file and not pulsed since."""
    first = beat(500, BeatState.STARTING)
    return replace(first, created_ns=first.heartbeat_ns)


def worker(of: BeatReading | None = None, **changes: Any) -> Child:
    child = Child("worker-0", Role.WORKER, running=True, since=NOW - 500, beat=of or beat())
    return replace(child, **changes)


def control(**changes: Any) -> Child:
    child = Child("control", Role.CONTROL, running=True, since=NOW - 500)
    return replace(child, **changes)


def decided(*children: Child, phase: Phase = Phase.RUNNING, watching_since: float = 0.0) -> list[str]:
    snapshot = Snapshot(children, phase, watching_since, RETIRED)
    return [
        " ".join(filter(None, (action.step.value, action.child, action.why, action.version)))
        for action in next_actions(snapshot, PATIENCE, NOW)
    ]


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (worker(), []),
        (worker(running=False, since=NOW), ["start worker-0"]),
        (worker(running=False, since=NOW + 0.1), []),
        (worker(beat(3.9)), []),
        (worker(beat(4.1)), ["dump stacks worker-0 blocked loop"]),
        (worker(beat(4.1, BeatState.DRAINING)), ["dump stacks worker-0 blocked loop"]),
        (worker(beat(4.1, BeatState.ACCEPTING, 0.5)), ["dump stacks worker-0 blocked loop model/1"]),
        (worker(beat(0.1, BeatState.ACCEPTING, 2.9)), []),
        (worker(beat(0.1, BeatState.ACCEPTING, 1, 3.1)), ["dump stacks worker-0 stuck inference model/2"]),
        (worker(replace(beat(), runs=(Run("m/8", 1, shadow=True, lane=15),))), []),
        (
            worker(replace(beat(4.1), runs=(Run("m/8", 1, shadow=True, lane=15),))),
            ["dump stacks worker-0 blocked loop"],
        ),
        (worker(beat(4.1, BeatState.STARTING)), ["dump stacks worker-0 blocked loop"]),
        (worker(unborn(), since=NOW - STARTING_S + 1), []),
        (worker(unborn(), since=NOW - STARTING_S - 1), ["dump stacks worker-0 does not start"]),
        (worker(beat=None, since=NOW - STARTING_S + 1), []),
        (worker(beat=None, since=NOW - STARTING_S - 1), ["dump stacks worker-0 does not start"]),
        (worker(dumped_at=NOW - 0.1), []),
        (worker(dumped_at=NOW - 0.4), ["kill worker-0 hung"]),
        (worker(dumped_at=NOW - 0.4, killed=True), []),
        (worker(replace(beat(), boot="retired")), ["terminate worker-0 retired by control"]),
        (worker(replace(beat(), boot="retired"), asked_at=NOW - 9), []),
        (worker(asked_at=NOW - 10), ["kill worker-0 did not stop in time"]),
        (control(), []),
        (control(beat=beat(CONTROL_HUNG_S - 1)), []),
        (control(beat=beat(CONTROL_HUNG_S + 1)), ["dump stacks control blocked loop"]),
        (control(running=False), ["start control"]),
    ],
)
def test_while_running(child: Child, expected: list[str]) -> None:
    """Ended children start again in time; hung ones are dumped, then killed; retired ones are asked to go."""
    assert decided(child) == expected


def retired(name: str, **changes: Any) -> Child:
    return worker(replace(beat(), boot=name), name=name, **changes)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), ["terminate a retired by control"]),
        ((retired("b"),), ["terminate b retired by control"]),
        ((retired("b"), retired("c")), ["terminate b retired by control", "terminate c retired by control"]),
        ((retired("b", asked_at=NOW - 1),), []),
        ((worker(running=False, beat=None, since=NOW + 1),), []),
        ((worker(beat(0.1, BeatState.STARTING)),), []),
        ((worker(),), ["terminate a retired by control"]),
    ],
)
def test_one_worker_goes_on_while_others_are_replaced(others: tuple[Child, ...], expected: list[str]) -> None:
    """However many are retired at once, the last one that accepts stays until another one does."""
    assert decided(retired("a"), *others) == expected


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ((worker(), control()), ["terminate worker-0 the gateway stops"]),
        ((worker(asked_at=NOW - 1), control()), []),
        ((worker(asked_at=NOW - 10), control()), ["kill worker-0 did not stop in time"]),
        ((worker(beat(5), asked_at=NOW - 5),), ["dump stacks worker-0 blocked loop"]),
        ((worker(running=False), control()), ["terminate control the gateway stops"]),
        ((worker(running=False), control(asked_at=NOW - 1)), []),
        ((worker(running=False), control(asked_at=NOW - 2)), ["kill control did not stop in time"]),
        ((worker(running=False), control(running=False)), []),
    ],
)
def test_while_stopping(children: tuple[Child, ...], expected: list[str]) -> None:
    """Workers drain first, then the helpers go; nothing is started; nobody is waited for beyond his time."""
    assert decided(*children, phase=Phase.STOPPING) == expected


def test_asked_twice_everything_is_killed() -> None:
    """The second Ctrl-C ends all children at once, and each is killed once."""
    children = (worker(), control(), replace(worker(killed=True), name="worker-1"), worker(running=False))
    expected = ["kill worker-0 asked twice to stop", "kill control asked twice to stop"]
    assert decided(*children, phase=Phase.STOPPING_NOW) == expected


@pytest.mark.parametrize(
    "child", [worker(beat(500)), worker(beat(0.1, BeatState.ACCEPTING, 500)), worker(beat=None)]
)
def test_a_pause_of_the_supervisor_is_nobody_elses_fault(child: Child) -> None:
    """After a gap in watching (a suspended machine) every child gets its full patience again."""
    assert decided(child, watching_since=NOW - 2) == []
    assert decided(child, watching_since=NOW - 100) != []


def test_restarts_back_off_and_are_bounded() -> None:
    """The pause doubles from 0.1 s to 10 s, or to 1 s where the process had served before."""
    pauses = [restart_delay_s(failures) for failures in (1, 2, 3, 7, 8, 10_000)]
    assert pauses == [0.1, 0.2, 0.4, 6.4, LONGEST_DELAY_S, LONGEST_DELAY_S]
    after_serving = [restart_delay_s(failures, served=True) for failures in (1, 2, 4, 5, 10_000)]
    assert after_serving == [0.1, 0.2, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(
    ("failures", "lived_s", "asked", "expected"),
    [(0, 1, False, 1), (3, 1, False, 4), (3, HEALTHY_AFTER_S, False, 1), (3, 1, True, 0)],
)
def test_failures_in_a_row(failures: int, lived_s: float, asked: bool, expected: int) -> None:
    """Only short lives add up; a healthy life or an exit on request begins anew."""
    assert failures_after_exit(failures, lived_s, asked) == expected


@given(
    st.lists(
        st.builds(
            Child,
            name=st.uuids().map(str),
            role=st.sampled_from(Role),
            running=st.booleans(),
            since=st.floats(0, 2 * NOW),
            beat=st.none() | st.builds(beat, st.floats(-10, NOW), st.sampled_from(BeatState)),
            asked_at=st.none() | st.floats(0, NOW),
            dumped_at=st.none() | st.floats(0, NOW),
            killed=st.booleans(),
        ),
        max_size=5,
    ),
    st.sampled_from(Phase),
)
def test_what_is_not_there_is_not_signalled(children: list[Child], phase: Phase) -> None:
    """At most one step per child: absent ones are started while that is due, present ones get signals."""
    actions = next_actions(Snapshot(tuple(children), phase, 0.0), PATIENCE, NOW)
    running = {child.name: child.running for child in children}
    assert len({action.child for action in actions}) == len(actions)
    for action in actions:
        started = action.step.value == "start"
        assert started is not running[action.child]
        assert not started or phase in (Phase.RUNNING, Phase.ARRIVING)


def test_the_monitor_stops_last_and_has_time_to_archive() -> None:
    """It is asked when no worker is left, gets its own patience, and is watched for a blocked loop."""
    monitor = Child("monitor", Role.MONITOR, running=True, since=NOW - 500)
    assert decided(worker(asked_at=NOW), monitor, phase=Phase.STOPPING) == []
    assert decided(monitor, phase=Phase.STOPPING) == ["terminate monitor the gateway stops"]
    asked = replace(monitor, asked_at=NOW - MONITOR_STOP_S + 0.1)
    assert decided(asked, phase=Phase.STOPPING) == []
    late = replace(monitor, asked_at=NOW - MONITOR_STOP_S)
    assert decided(late, phase=Phase.STOPPING) == ["kill monitor did not stop in time"]
    silent = replace(monitor, beat=beat(MONITOR_HUNG_S + 1))
    assert decided(silent) == ["dump stacks monitor blocked loop"]


def test_a_successor_starts_workers_only() -> None:
    """While the old gateway still runs, its successor starts no second control."""
    absent = (worker(running=False, beat=None, since=0.0), control(running=False, since=0.0))
    assert decided(*absent, phase=Phase.ARRIVING) == ["start worker-0"]
    assert decided(*absent, phase=Phase.RUNNING) == ["start worker-0", "start control"]


def test_a_gateway_that_yields_keeps_its_workers() -> None:
    """What writes the state ends first; workers serve on, and nothing is started again."""
    running = (worker(), control())
    assert decided(*running, phase=Phase.YIELDING) == ["terminate control another gateway takes over"]
    assert decided(worker(running=False, since=0.0), phase=Phase.YIELDING) == []
