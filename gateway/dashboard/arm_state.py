"""Whether an arm of a model is all right, as one word with its reason and what to do about it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

MINUTE_US = 60_000_000
SILENT_AFTER_US = 15_000_000
"""The monitor writes every second how it fares."""
OLD_AFTER_WINDOWS = 3
"""A window is complete some seconds after its time."""
BAD_LOG10 = 4.0
"""A rate that is in order takes 10,000 windows on average, or longer, to get so much evidence."""

Word = Literal[
    "ok", "drifting", "bad_data", "unusual_data", "not_enough_data", "observing", "stale", "no_data"
]


class ArmState(msgspec.Struct, frozen=True):
    """One word, since when (Unix microseconds, 0: unknown), why, and what to do ("": nothing)."""

    word: Word
    since_us: int = 0
    why: str = ""
    todo: str = ""


@dataclass(frozen=True)
class ArmFacts:
    """What is known of an arm. Times in Unix microseconds, 0 where there is none.

    `drifting`, `bad` (broken data) and `unusual` are what is named. `source` is that of the reference.
    `waiting`: no window is complete yet. `observing`: evidence of drift notifies nobody.
    """

    model: str
    version: int
    now_us: int
    window_length_us: int = MINUTE_US
    monitor_at_us: int = 0
    window_us: int = 0
    source: str = ""
    waiting: bool = False
    drifting: str = ""
    drifting_since_us: int = 0
    bad: str = ""
    unusual: str = ""
    observing: bool = False


def old_after_us(window_length_us: int) -> int:
    """Return how old the beginning of the newest window is at most while rows come."""
    return OLD_AFTER_WINDOWS * max(window_length_us, MINUTE_US)


def arm_states(facts: ArmFacts) -> tuple[ArmState, ...]:
    """Return what is to be said first, and what else was found."""
    unseen = _unseen(facts)
    if unseen is not None:
        return (unseen,)
    return tuple(_found(facts)) or (_unknown(facts) or ArmState("ok"),)


def _unseen(facts: ArmFacts) -> ArmState | None:
    """Return the state of an arm that nothing new is seen of."""
    if facts.now_us - facts.monitor_at_us > SILENT_AFTER_US:
        return ArmState(
            "stale",
            facts.monitor_at_us,
            "the monitor process says nothing" if facts.monitor_at_us else "the monitor has not started",
            "Look at the monitor's lines in the log of the gateway; predictions go on without it.",
        )
    if not facts.window_us:
        return ArmState(
            "no_data",
            why="no row of this arm has been logged",
            todo="Send predictions to it; only requests for the purposes live and batch are counted.",
        )
    if facts.now_us - facts.window_us > old_after_us(facts.window_length_us):
        return ArmState(
            "no_data",
            facts.window_us + facts.window_length_us,
            "no rows come any more",
            "Check that clients still reach the gateway, and the traffic split.",
        )
    return None


def _found(facts: ArmFacts) -> Iterator[ArmState]:
    if facts.bad:
        yield ArmState(
            "bad_data", why=facts.bad, todo="See data quality of the model; ask who fills these columns."
        )
    if facts.drifting:
        yield ArmState(
            "drifting",
            facts.drifting_since_us,
            f"named: {facts.drifting}",
            ("Nobody is notified before it is armed. " if facts.observing else "")
            + "Look at the features that are named, then acknowledge, or make a new reference.",
        )
    if facts.unusual:
        yield ArmState(
            "unusual_data",
            why=facts.unusual,
            todo="The reference had hardly any; see data quality, and what the clients changed.",
        )


def _unknown(facts: ArmFacts) -> ArmState | None:
    if facts.waiting:
        return ArmState(
            "not_enough_data",
            why="no window is complete yet",
            todo="Wait: a window is complete some seconds after its time.",
        )
    if facts.source in ("", "none"):
        return ArmState(
            "not_enough_data",
            why="there is no reference to compare with",
            todo="Publish with reference=…, wait for a day of traffic, or run: driftgate drift rebaseline "
            f"{facts.model}@{facts.version} --window 1d",
        )
    if facts.observing:
        return ArmState(
            "observing",
            why="evidence of drift is shown, and would notify nobody yet",
            todo=f"Arm it once its back-test is quiet: driftgate drift backtest {facts.model}",
        )
    return None
