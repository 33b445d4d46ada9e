"""Data quality of a model's arms: the rates of the last complete window, with new values by name. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from driftgate.gateway.dashboard.one_feature import NamedValue
from driftgate.monitoring.windows.window_status import WindowFigures

MOST_EXAMPLES = 3


class QualityRate(msgspec.Struct, frozen=True):
    """A rate that is not 0 or that there is evidence about; `examples` are values that nobody had seen."""

    reason: str
    feature: str
    hits: int
    rows: int
    log10_evidence: float
    examples: tuple[NamedValue, ...] = ()


class ArmQuality(msgspec.Struct, frozen=True):
    """One arm: its last complete window (start in Unix microseconds), and its rates by evidence."""

    version: int
    arm: str
    start_us: int
    rows: int
    quality: tuple[QualityRate, ...]


NewValues = Mapping[tuple[int, str, str], Sequence[NamedValue]]
"""New values by version, arm and feature."""


def arm_quality(figures: WindowFigures, new_values: NewValues) -> ArmQuality:
    """Return what is said of one arm."""
    return ArmQuality(
        version=figures.version,
        arm=figures.arm,
        start_us=figures.start_us,
        rows=figures.rows,
        quality=tuple(
            QualityRate(
                one.reason,
                one.feature,
                one.hits,
                one.rows,
                one.log10_evidence,
                tuple(new_values.get((figures.version, figures.arm, one.feature), ()))[:MOST_EXAMPLES]
                if one.reason == "new_value"
                else (),
            )
            for one in figures.quality
        ),
    )
