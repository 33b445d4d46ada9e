"""What the monitor says of drift, as the dashboard's pages ask for it. Pure."""

from collections.abc import Iterator

import msgspec

from driftgate.gateway.dashboard.overview import ArmKey, DriftWord
from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.seasons import Watch
from driftgate.monitoring.drift.status import DriftStatus, FeatureFigure, StreamFigure, VersionFigure
from driftgate.monitoring.windows.pane import ALL_ROWS


class MovedCell(msgspec.Struct, frozen=True):
    """The cell of a feature that moved most, which way, and since about when (Unix microseconds)."""

    cell: str
    rises: bool
    onset_us: int


def drift_words(status: DriftStatus | None) -> dict[ArmKey, DriftWord]:
    """Return what to say about the drift of each arm."""
    if status is None:
        return {}
    return {
        (version.model, version.version, stream.arm): _word(version, stream)
        for version in status.versions
        for stream in version.streams
        if stream.segment == ALL_ROWS
    }


def named_features(status: DriftStatus | None, model: str) -> dict[tuple[int, str], frozenset[str]]:
    """Return the features that evidence names now, by version and arm."""
    return {
        (version.version, stream.arm): frozenset(one.name for one in stream.features if one.is_named)
        for version, stream in _streams(status, model)
    }


def find_feature(
    status: DriftStatus | None, model: str, arm: tuple[int, str], name: str
) -> FeatureFigure | None:
    """Return what is said of one feature of an arm, given as version and name; None where that is nothing."""
    for version, stream in _streams(status, model):
        if (version.version, stream.arm) == arm:
            return next((one for one in stream.features if one.name == name), None)
    return None


def moved_cell(figure: FeatureFigure | None) -> MovedCell | None:
    """Return the cell that moved, None where nothing speaks for it."""
    if figure is None or not figure.log10_evidence or figure.log10_evidence < 1:
        return None
    return MovedCell(figure.cell, figure.rises, figure.onset_us)


def _streams(status: DriftStatus | None, model: str) -> Iterator[tuple[VersionFigure, StreamFigure]]:
    for version in status.versions if status is not None else ():
        if version.model == model:
            for stream in version.streams:
                if stream.segment == ALL_ROWS:
                    yield version, stream


def _word(version: VersionFigure, stream: StreamFigure) -> DriftWord:
    """Alarms are the version's, whose arms and segments are one test; names are those of the arm."""
    named = tuple(one.name for one in stream.features if one.is_named)
    elsewhere = any(one.is_named for other in version.streams for one in other.features)
    dependent = version.dependence.phase is not Phase.QUIET
    is_alarm = (version.drift.phase is not Phase.QUIET and (bool(named) or not elsewhere)) or dependent
    pairs = tuple(f"{one.first} with {one.second}" for one in stream.pairs) if dependent else ()
    strongest = max(stream.features, key=lambda one: one.log10_evidence or 0.0, default=None)
    return DriftWord(
        log10_evidence=strongest.log10_evidence if strongest else None,
        strongest=strongest.name if strongest else "",
        named=(*named, *pairs) or version.drift.names,
        since_us=version.drift.onset_us or version.dependence.onset_us,
        is_alarm=is_alarm,
        is_observed=version.watch is not Watch.ARMED,
    )
