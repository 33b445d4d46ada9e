"""What is said of the drift of a stream: values for people, dashboards and alerts. Pure."""

import msgspec

from driftgate.monitoring.drift.effect_sizes import EffectSizes
from driftgate.monitoring.drift.sufficiency import NotEnoughData


class FeatureDrift(msgspec.Struct, frozen=True):
    """What is said of one feature. `log10_evidence` is None where the reference has too few rows to bet.

    `cell` is the one that moved most, `rises` which way, since about `onset_us`: this says something
    only where there is evidence. `effect` is of the window that is shown.
    """

    name: str
    log10_evidence: float | None
    cell: str
    rises: bool
    onset_us: int
    effect: EffectSizes | NotEnoughData


class PairDrift(msgspec.Struct, frozen=True):
    """Two features whose dependence changed, which way, and since about when."""

    first: str
    second: str
    log10_evidence: float
    together_more: bool
    onset_us: int


class DriftReport(msgspec.Struct, frozen=True):
    """What is said of a stream after `windows` windows with rows; `named` features by their evidence."""

    windows: int
    log10_evidence: float | None
    log10_pair_evidence: float | None
    named: tuple[str, ...]
    pairs: tuple[PairDrift, ...]
    features: tuple[FeatureDrift, ...]
