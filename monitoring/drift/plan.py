"""What is to be done about the drift of a version: how it is judged, and what somebody decided. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Judging:
    """What evidence depends on: another one makes it begin anew.

    `tolerance` and `one_observation` as in `WatchSettings`. `learnt`: the traffic whose hours of the week
    judge, as [first, end) in Unix microseconds; None: the reference alone does.
    """

    tolerance: float = 0.0
    one_observation: bool = False
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
