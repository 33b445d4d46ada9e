"""What is to be done about the drift of a version: how it is judged, and what somebody decided. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Thin = Literal["none", "window", "entity"]
"""What counts once: every row, the whole window, or one row of each entity and window."""


@dataclass(frozen=True)
class Judging:
    """What evidence depends on: another one makes it begin anew.

    `tolerance` as in `WatchSettings`; `thin` says what counts once, as rows may follow from each other.
    `learnt`: the traffic whose hours of the week judge, as [first, end) in Unix microseconds; None: the
    reference alone does.
    """

    tolerance: float = 0.0
    thin: Thin = "none"
    learnt: tuple[int, int] | None = None
    utc_offset_s: int = 0


@dataclass(frozen=True)
class DriftPlan:
    """One version's. `notifies`: somebody armed it. Windows that began before `forget_us` count no more."""

    is_watched: bool = True
    notifies: bool = False
    forget_us: int = 0
    judging: Judging = field(default_factory=Judging)


PlanOf = Callable[[str, int], DriftPlan]
"""Returns the plan of a model's version."""
