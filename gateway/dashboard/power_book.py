"""Settings and power of a model's versions: what they are compared with, and what that can show.

Working out the power takes a tenth of a second, so that what was worked out is kept for a while.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from driftgate.gateway.dashboard.power import FeaturePower, powers
from driftgate.monitoring.drift.budget import FalseAlarmBudget
from driftgate.monitoring.drift.status import DriftStatus, VersionFigure
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.windows.pane import PANE_US

MOST_KEPT = 32
DEFAULT_LOG10_TARGET = math.log10(FalseAlarmBudget().every_s * 1e6 / PANE_US)
"""Evidence that notifies where the monitor has not said so: one false alarm in four weeks."""


class VersionPower(msgspec.Struct, frozen=True):
    """One version: its reference, how it is watched, its traffic of the last hour, and what that can show.

    `watch` is "observing", "proposed" or "armed", "" where it is not known; `reason` says why nothing can be
    said of drift. `from_us` is when the reference came into force (0: from the beginning).
    """

    version: int
    source: str
    reference_id: str
    reference_rows: int
    from_us: int
    rows_per_s: float
    log10_target: float
    watch: str
    judged_by_hours: bool
    reason: str
    features: tuple[FeaturePower, ...]


class PowerBook:
    """What was worked out lately, by reference, target and roughly the traffic."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, float, float], tuple[FeaturePower, ...]] = OrderedDict()

    def versions(
        self, references: Iterable[Reference], rows_per_s: dict[int, float], status: DriftStatus | None
    ) -> tuple[VersionPower, ...]:
        """Return it for the newest reference of each version that has rows, the newest version first."""
        newest = {one.version: one for one in references}
        return tuple(
            self._version(newest[version], rows_per_s[version], _figure(status, newest[version]))
            for version in sorted(newest, reverse=True)
            if version in rows_per_s
        )

    def _version(self, reference: Reference, rows_per_s: float, figure: VersionFigure | None) -> VersionPower:
        target = figure.log10_target if figure else DEFAULT_LOG10_TARGET
        return VersionPower(
            version=reference.version,
            source=reference.profile.source,
            reference_id=reference.id,
            reference_rows=reference.profile.rows,
            from_us=reference.from_us,
            rows_per_s=rows_per_s,
            log10_target=target,
            watch=figure.watch.value if figure else "",
            judged_by_hours=figure.judged_by_hours if figure else False,
            reason=figure.reason if figure else "",
            features=self._powers(reference, target, rows_per_s),
        )

    def _powers(self, reference: Reference, target: float, rows_per_s: float) -> tuple[FeaturePower, ...]:
        key = (reference.id, round(target, 2), float(f"{rows_per_s:.1g}"))
        if key not in self._kept:
            self._kept[key] = powers(reference.profile, 10.0**target, key[2])
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]


def _figure(status: DriftStatus | None, reference: Reference) -> VersionFigure | None:
    for one in status.versions if status is not None else ():
        if (one.model, one.version) == (reference.model, reference.version):
            return one
    return None
