"""What the supervisor does next: a pure function of what it sees and the time.

Times are CLOCK_MONOTONIC in seconds. Nothing here starts, signals or waits.
"""

import enum
from dataclasses import dataclass, replace

from driftgate.gateway.state.beat import BeatReading, BeatState

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0
LONGEST_DELAY_AFTER_SERVING_S = 1.0
"""For a process that did serve: capacity is to be back within two seconds, however often one is killed."""
HEALTHY_AFTER_S = 30.0
STARTING_S = 60.0
"""Patience with a worker whose loop has not begun to turn: a cold disk may take long to import a runtime."""
DUMP_S = 0.3
"""Time to write stacks down before a hung process is killed."""
CONTROL_HUNG_S = 30.0
"""Patience with the loops of control and of the feature writer: nobody's prediction waits for them."""
MONITOR_HUNG_S = 180.0
"""Patience with the monitor, at its start too: it runs after all others, so a busy machine makes it slow."""
HELPER_STOP_S = 2.0
"""Patience with control and probes at the end; they have no requests to finish."""
MONITOR_STOP_S = 8.0
"""Patience with the monitor at the end, which archives what the workers wrote last."""


class Role(enum.Enum):
    """What a child is for."""

    CONTROL = "control"
    WORKER = "worker"
    PROBES = "probes"
    MONITOR = "monitor"
    FEATURES = "features"


class Phase(enum.Enum):
    """What the supervisor as a whole is doing.

    ARRIVING is a successor whose workers start beside those of the gateway that it replaces; YIELDING is
    that gateway while it ends everything but its workers.
    """

    ARRIVING = "arriving"
    RUNNING = "running"
    YIELDING = "yielding"
    STOPPING = "stopping"
    STOPPING_NOW = "stopping now"


class Step(enum.Enum):
    """What can be done to one child."""

    START = "start"
    TERMINATE = "terminate"
    DUMP = "dump stacks"
    KILL = "kill"


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds."""

    hung_after_s: float
    stuck_inference_s: float
    stop_s: float


@dataclass(frozen=True)
class Child:
    """One child at one look.

    `since` is when it was started or, if it is not running, when it may be. `beat` is None until it has
    written one of its own. `asked_at` tells when it got SIGTERM, `dumped_at` when its stacks were asked for.
    """

    name: str
    role: Role
    running: bool
    since: float
    beat: BeatReading | None = None
    asked_at: float | None = None
    dumped_at: float | None = None
    killed: bool = False


@dataclass(frozen=True)
class Snapshot:
    """All children at one look.

    `watching_since` is since when the supervisor has looked without a gap: a machine that was asleep did not
    hang. `retired` are boot ids that control wants replaced.
    """

    children: tuple[Child, ...]
    phase: Phase
    watching_since: float
    retired: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Action:
    """One step for one child, and why; `version` is the one that was found running."""

    step: Step
    child: str
    why: str = ""
    version: str = ""


def next_actions(snapshot: Snapshot, patience: Patience, now: float) -> tuple[Action, ...]:
    """Return what is to be done now, at most one action per child."""
    workers_left = any(child.running and child.role is Role.WORKER for child in snapshot.children)
    snapshot = replace(snapshot, retired=snapshot.retired - _needed_still(snapshot))
    actions = (_next_action(child, snapshot, patience, workers_left, now) for child in snapshot.children)
    return tuple(action for action in actions if action is not None)


def restart_delay_s(failures: int, served: bool = False) -> float:
    """Return the pause before the next start after so many failures in a row: doubling, bounded.

    `served` says that the process which ended had accepted requests.
    """
    longest_s = LONGEST_DELAY_AFTER_SERVING_S if served else LONGEST_DELAY_S
    return min(longest_s, FIRST_DELAY_S * 2.0 ** min(max(failures - 1, 0), 20))


def failures_after_exit(failures: int, lived_s: float, asked: bool) -> int:
    """Return the count of failures in a row after an exit; a healthy life or an exit on request clears it."""
    if asked:
        return 0
    return 1 if lived_s >= HEALTHY_AFTER_S else failures + 1


def _needed_still(snapshot: Snapshot) -> frozenset[str]:
    """The boot id that is retired last: one worker of several goes on until another one accepts."""
    workers = [child for child in snapshot.children if child.role is Role.WORKER]
    accepting = [
        child.beat.boot
        for child in workers
        if child.asked_at is None and child.beat is not None and child.beat.state is BeatState.ACCEPTING
    ]
    if len(workers) == 1 or not snapshot.retired.issuperset(accepting):
        return frozenset()
    return frozenset(accepting[:1])


def _next_action(
    child: Child, snapshot: Snapshot, patience: Patience, workers_left: bool, now: float
) -> Action | None:
    if not child.running:
        may_start = now >= child.since and (
            snapshot.phase is Phase.RUNNING
            or (snapshot.phase is Phase.ARRIVING and child.role is Role.WORKER)
        )
        return Action(Step.START, child.name) if may_start else None
    if child.killed:
        return None
    if snapshot.phase is Phase.STOPPING_NOW:
        return Action(Step.KILL, child.name, "asked twice to stop")
    return _of_hung(child, snapshot, patience, now) or _of_leaving(
        child, snapshot, patience, workers_left, now
    )


def _of_hung(child: Child, snapshot: Snapshot, patience: Patience, now: float) -> Action | None:
    if child.dumped_at is not None:
        return Action(Step.KILL, child.name, "hung") if now - child.dumped_at >= DUMP_S else None
    if child.role is Role.PROBES or (child.role is not Role.WORKER and child.beat is None):
        return None

    def silent_s(since: float) -> float:
        return now - max(since, snapshot.watching_since)

    beat = child.beat
    if beat is None or not beat.has_pulsed:
        starting_s = MONITOR_HUNG_S if child.role is Role.MONITOR else STARTING_S
        late = silent_s(child.since) > starting_s
        return Action(Step.DUMP, child.name, "does not start") if late else None
    for run in beat.runs:
        if not run.shadow and silent_s(run.started_ns / 1e9) > patience.stuck_inference_s:
            return Action(Step.DUMP, child.name, "stuck inference", run.version)
    if silent_s(beat.heartbeat_ns / 1e9) > _hung_after_s(child.role, patience):
        running = next((run.version for run in beat.runs if run.lane == 0), "")
        return Action(Step.DUMP, child.name, "blocked loop", running)
    return None


def _hung_after_s(role: Role, patience: Patience) -> float:
    if role is Role.WORKER:
        return patience.hung_after_s
    return MONITOR_HUNG_S if role is Role.MONITOR else CONTROL_HUNG_S


def _of_leaving(
    child: Child, snapshot: Snapshot, patience: Patience, workers_left: bool, now: float
) -> Action | None:
    is_worker = child.role is Role.WORKER
    if child.asked_at is not None:
        helper_s = MONITOR_STOP_S if child.role is Role.MONITOR else HELPER_STOP_S
        limit = patience.stop_s if is_worker else helper_s
        late = now - child.asked_at >= limit
        return Action(Step.KILL, child.name, "did not stop in time") if late else None
    if snapshot.phase is Phase.STOPPING and (is_worker or not workers_left):
        return Action(Step.TERMINATE, child.name, "the gateway stops")
    if snapshot.phase is Phase.YIELDING and not is_worker:
        return Action(Step.TERMINATE, child.name, "another gateway takes over")
    if child.beat is not None and child.beat.boot in snapshot.retired:
        return Action(Step.TERMINATE, child.name, "retired by control")
    return None
