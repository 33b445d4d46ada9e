"""What the monitor says of drift; apart from it, so that who reads this need not compute it.

Times are in Unix microseconds. Evidence is a logarithm to base 10, None where nothing can be said.
"""

import msgspec

from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.seasons import Watch

MOST_FEATURES = 20
"""Features and pairs of a stream that are told, those with the most evidence first."""


class FeatureFigure(msgspec.Struct, frozen=True):
    """One feature: the cell that moved most, which way, and since about when."""

    name: str
    log10_evidence: float | None
    cell: str
    rises: bool
    onset_us: int
    is_named: bool = False


class PairFigure(msgspec.Struct, frozen=True):
    """Two features that go together more often than before, or less often."""

    first: str
    second: str
    log10_evidence: float
    together_more: bool
    onset_us: int


class AlarmFigure(msgspec.Struct, frozen=True):
    """One alarm: `since_us` raised it; `names` are all features, or pairs, that it has named since."""

    phase: Phase = Phase.QUIET
    since_us: int = 0
    onset_us: int = 0
    names: tuple[str, ...] = ()


class StreamFigure(msgspec.Struct, frozen=True):
    """One arm or segment (empty: all rows): its last window, and how many there were since the reset."""

    arm: str
    segment: str
    start_us: int
    rows: int
    windows: int
    features: tuple[FeatureFigure, ...] = ()
    pairs: tuple[PairFigure, ...] = ()


class VersionFigure(msgspec.Struct, frozen=True):
    """One version under the reference that is in force.

    `log10_target` is the evidence at which it notifies, or would if it were armed. `judged_by_hours`: each
    hour of the week has a reference of its own. `reason` says why nothing can be said, where that is so.
    """

    model: str
    version: int
    watch: Watch
    reference_id: str
    source: str
    reference_rows: int
    first_us: int
    log10_target: float
    log10_evidence: float | None = None
    log10_pair_evidence: float | None = None
    judged_by_hours: bool = False
    drift: AlarmFigure = AlarmFigure()
    dependence: AlarmFigure = AlarmFigure()
    streams: tuple[StreamFigure, ...] = ()
    reason: str = ""


class DriftStatus(msgspec.Struct, frozen=True):
    """All versions of all models that had windows lately, and how long a window is."""

    at_us: int = 0
    window_us: int = 60_000_000
    versions: tuple[VersionFigure, ...] = ()
