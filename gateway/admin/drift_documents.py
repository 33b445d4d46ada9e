"""What the admin API says of drift, and what it is asked."""

from typing import Annotated

import msgspec

from driftgate.monitoring.drift.replay import COVERED, LEFT_OUT
from driftgate.monitoring.drift.status import VersionFigure

Positive = Annotated[int, msgspec.Meta(ge=1)]
Why = Annotated[str, msgspec.Meta(max_length=500)]


class DriftVersion(msgspec.Struct, frozen=True):
    """One version: what the monitor says, and how soon a shift would be found.

    `rows_to_find` is for half a standard deviation of a typical number, on average; None: it would not be.
    `rows_per_window` is of the last windows of all arms.
    """

    figure: VersionFigure
    rows_per_window: int
    rows_to_find: int | None


class DriftAnswer(msgspec.Struct, frozen=True):
    """Drift of one model, the newest version first. Times in Unix microseconds."""

    model: str
    at_us: int
    window_us: int
    versions: tuple[DriftVersion, ...]


class ArmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let drift of a version notify. `hours`: each hour of the week is judged by what it was like so far."""

    version: Positive
    hours: bool = True
    why: Why = ""


class ObserveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let drift of a version, or of all, notify nobody."""

    version: Positive | None = None
    why: Why = ""


class AcknowledgeDriftRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let evidence of drift begin anew: somebody has looked at it."""

    why: Why = ""


class DriftChangeAnswer(msgspec.Struct, frozen=True):
    """What was asked is in force from the next look of the monitor on; with `dry_run` it is not."""

    model: str
    generation: int
    armed: tuple[int, ...]
    dry_run: bool = False


class WouldNotify(msgspec.Struct, frozen=True):
    """A notification that would have been sent, each acknowledged four hours later."""

    version: int
    window_us: int
    onset_us: int
    features: tuple[str, ...]


class BacktestAnswer(msgspec.Struct, frozen=True):
    """What would have been notified of; `judged_by` the hours of other weeks, or the reference.

    `expected_at_most` is how many notifications for nothing the budget allows in that time. `covered` and
    `left_out` are the rules of alerts that were gone through, and that were not.
    """

    model: str
    first_us: int
    end_us: int
    windows: int
    judged_by: str
    expected_at_most: float
    notifications: tuple[WouldNotify, ...]
    covered: tuple[str, ...] = COVERED
    left_out: tuple[str, ...] = LEFT_OUT
