"""What `/metrics` says of drift: evidence by model and by its strongest features, alarms, and targets.

Series are bounded: by versions that have windows, and by the features that are told of each arm; segments
have none of their own.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.drift_status import read_drift_status
from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.seasons import Watch
from driftgate.monitoring.drift.status import AlarmFigure, DriftStatus, VersionFigure

MOST_FEATURES = 2000
"""Of all models together, those with the most evidence."""
_VERSION = ("model", "version")
_TEST = (*_VERSION, "test")
_FEATURE = (*_VERSION, "arm", "feature")
_PHASES = {Phase.QUIET: 0, Phase.SUBSIDED: 1, Phase.DRIFTING: 2}


def drift_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield what the monitor last said of drift."""
    status = read_drift_status(layout)
    if status is not None:
        yield from _of_versions(status)
        yield _of_features(status)


def _of_versions(status: DriftStatus) -> Iterator[Metric]:
    evidence = GaugeMetricFamily(
        "driftgate_drift_model_log10_evalue", "Evidence of drift of a version.", labels=_TEST
    )
    target = GaugeMetricFamily(
        "driftgate_drift_target_log10_evalue", "Evidence at which a version notifies.", labels=_VERSION
    )
    state = GaugeMetricFamily(
        "driftgate_drift_state",
        "0: quiet, 1: it drifted and nobody acknowledged it, 2: drifting.",
        labels=_TEST,
    )
    armed = GaugeMetricFamily(
        "driftgate_drift_armed", "1 for a version whose drift notifies.", labels=_VERSION
    )
    for one in status.versions:
        version = (one.model, str(one.version))
        armed.add_metric(version, float(one.watch is Watch.ARMED))
        target.add_metric(version, one.log10_target)
        for test, alarm, log10 in _tests(one):
            state.add_metric((*version, test), _PHASES[alarm.phase])
            if log10 is not None:
                evidence.add_metric((*version, test), log10)
    yield from (evidence, target, state, armed)


def _tests(one: VersionFigure) -> Iterator[tuple[str, AlarmFigure, float | None]]:
    yield "features", one.drift, one.log10_evidence
    yield "dependence", one.dependence, one.log10_pair_evidence


def _of_features(status: DriftStatus) -> Metric:
    found = GaugeMetricFamily(
        "driftgate_drift_log10_evalue", "Evidence of drift of the strongest features.", labels=_FEATURE
    )
    features = [
        ((one.model, str(one.version), stream.arm, feature.name), feature.log10_evidence)
        for one in status.versions
        for stream in one.streams
        if not stream.segment
        for feature in stream.features
        if feature.log10_evidence is not None
    ]
    features.sort(key=lambda pair: -pair[1])
    for labels, log10 in features[:MOST_FEATURES]:
        found.add_metric(labels, max(log10, 0.0))
    return found
