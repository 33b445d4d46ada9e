"""What is told of a version's drift: the strongest features and pairs of each stream. Pure."""

import numpy as np

from driftgate.monitoring.drift.alarm import DriftAlarm
from driftgate.monitoring.drift.e_detector import Evidence
from driftgate.monitoring.drift.seasons import WEEK_US, WEEKS_TO_PROPOSE, Watch
from driftgate.monitoring.drift.status import (
    MOST_FEATURES,
    AlarmFigure,
    FeatureFigure,
    PairFigure,
    StreamFigure,
    VersionFigure,
)
from driftgate.monitoring.drift.version_drift import Named, Stream, StreamKey, Test, VersionDrift

NO_REFERENCE = (
    "no reference: publish with training rows, or make one of traffic with `driftgate drift rebaseline`"
)
NOT_WATCHED = "drift is not watched: [drift] mode in model.toml is off"
NO_WINDOW = "no window is complete since evidence began"
REFERENCE_TOO_SMALL = "the reference has too few rows to bet on"


def log10_of(evidence: float) -> float | None:
    """Return the logarithm of evidence; None where it is not known, at least -300."""
    return None if np.isnan(evidence) else float(np.log10(max(evidence, 1e-300)))


def version_figure(subject: tuple[str, int, str], drift: VersionDrift, target: float) -> VersionFigure:
    """Return what is told of a version; `subject` is model, version and the id of its reference."""
    features, pairs = drift.features(target), drift.pairs(target)
    return VersionFigure(
        *subject[:2],
        watch=watch_of(drift),
        reference_id=subject[2],
        source=drift.profile.source,
        reference_rows=drift.profile.rows,
        first_us=drift.first_us,
        log10_target=float(np.log10(target)),
        log10_evidence=log10_of(features.evidence),
        log10_pair_evidence=log10_of(pairs.evidence),
        judged_by_hours=drift.plan.judging.learnt is not None,
        drift=_alarm(drift.alarm),
        dependence=_alarm(drift.pair_alarm),
        streams=tuple(
            _stream(drift, key, stream, features, pairs) for key, stream in sorted(drift.streams.items())
        ),
        reason=_reason(drift, features),
    )


def watch_of(drift: VersionDrift) -> Watch:
    """Return how a version is watched: proposed once there are two weeks to learn its hours from."""
    if drift.plan.notifies:
        return Watch.ARMED
    seen_us = drift.last_us - drift.first_us
    return Watch.PROPOSED if seen_us >= WEEKS_TO_PROPOSE * WEEK_US else Watch.OBSERVING


def _reason(drift: VersionDrift, features: Test) -> str:
    if not drift.plan.is_watched:
        return NOT_WATCHED
    if not drift.profile.rows:
        return NO_REFERENCE
    if not any(stream.watch.windows for stream in drift.streams.values()):
        return NO_WINDOW
    return REFERENCE_TOO_SMALL if np.isnan(features.evidence) else ""


def _stream(drift: VersionDrift, key: StreamKey, stream: Stream, features: Test, pairs: Test) -> StreamFigure:
    named = {one.place for one in features.named if one.stream == key}
    return StreamFigure(
        arm=key.arm,
        segment=key.segment,
        start_us=stream.start_us,
        rows=stream.rows,
        windows=stream.watch.windows,
        features=tuple(
            _feature(drift, stream, place, place in named)
            for place in strongest(stream.features, MOST_FEATURES)
        ),
        pairs=tuple(_pair(drift, one) for one in pairs.named if one.stream == key)[:MOST_FEATURES],
    )


def strongest(evidence: Evidence, most: int) -> list[int]:
    """Return the places with the most evidence, unknown ones last."""
    known = np.where(np.isnan(evidence.features), -1.0, evidence.features)
    return [int(place) for place in np.argsort(-known, kind="stable")[:most]]


def _feature(drift: VersionDrift, stream: Stream, place: int, is_named: bool) -> FeatureFigure:
    moved = stream.watch.moved(place)
    return FeatureFigure(
        name=drift.feature_name(place),
        log10_evidence=log10_of(float(stream.features.features[place])),
        cell=drift.cell_name(place, moved.cell),
        rises=moved.rises,
        onset_us=moved.onset_us,
        is_named=is_named,
    )


def _pair(drift: VersionDrift, one: Named) -> PairFigure:
    names = drift.pair_names(one.place)
    return PairFigure(*names, log10_of(one.evidence) or 0.0, one.moved.rises, one.moved.onset_us)


def _alarm(alarm: DriftAlarm) -> AlarmFigure:
    return AlarmFigure(alarm.phase, alarm.since_us, alarm.onset_us, alarm.features)
