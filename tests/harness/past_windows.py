"""A book of windows as a monitor would have left it, so that pages have something to show at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from driftgate.monitoring.alerts.alert import Finding, NamedFeature, Rule, new_alert
from driftgate.monitoring.book.alert_tables import AlertChanges
from driftgate.monitoring.book.drift_tables import encode_evidence
from driftgate.monitoring.book.monitor_db import Checkpoint, MonitorDb
from driftgate.monitoring.book.pane_tables import WindowChanges
from driftgate.monitoring.drift.watch import DriftWatch
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.profile import ReferenceProfile, decode_profile, profile_id
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey, PaneShape

ROWS = 200


def write_past(path: Path, model: str, profile: bytes, minutes: int, drifts: str = "") -> int:
    """Write the last whole minutes of version 1's stable arm into a new `monitor.db`; return when they end.

    Windows are drawn from the reference; in the second half of them the feature `drifts` has its rows in the
    upper half of its cells alone. Times are in Unix microseconds.
    """
    decoded, end_us = decode_profile(profile), time.time_ns() // 1000 // PANE_US * PANE_US
    reference = Reference(model, 1, 0, profile_id(profile), decoded, profile)
    watch, evidence = DriftWatch(decoded), {}
    panes = dict(_panes(reference, end_us - minutes * PANE_US, minutes, drifts))
    for key, pane in panes.items():
        watch.update(pane, key.start_us)
        evidence[key] = encode_evidence(watch.evidence().features)
    db = MonitorDb(path)
    changes = WindowChanges(end_us, panes, references=(reference,), evidence=evidence)
    db.commit(Checkpoint({}, windows=changes))
    db.close()
    return end_us


def write_firing_alert(path: Path, model: str, feature: str, rule: Rule = Rule.DRIFT) -> None:
    """Write an alert into `monitor.db` that fires, about a feature of version 1's stable arm."""
    now_us = time.time_ns() // 1000
    finding = Finding(
        rule=rule,
        model=model,
        version=1,
        arm="stable",
        features=(NamedFeature(feature, "above 60", 7.0),),
        window_us=now_us,
        text=f"{feature} drifts",
    )
    db = MonitorDb(path)
    db.put_alerts(AlertChanges((new_alert(finding, now_us),), (), 0))
    db.close()


def _panes(reference: Reference, first_us: int, minutes: int, drifts: str) -> Iterator[tuple[PaneKey, Pane]]:
    rng = np.random.default_rng(1)
    for minute in range(minutes):
        moved = drifts if minute >= minutes // 2 else ""
        start_us = first_us + minute * PANE_US
        key = PaneKey(reference.model, 1, "stable", ALL_ROWS, reference.id, start_us)
        yield key, _pane(reference.profile, rng, moved)


def _pane(profile: ReferenceProfile, rng: np.random.Generator, drifts: str) -> Pane:
    pane, offsets = Pane.empty(PaneShape.of(profile)), profile.offsets()
    pane.rows = ROWS
    pane.quality.count_codes(np.full(ROWS, 200))
    for place, feature in enumerate(profile.features):
        counts = np.array(feature.counts, float)
        if not counts.sum():
            counts[4] = 1
        if feature.name == drifts:
            counts[: len(counts) // 2] = 0
        pane.counts[offsets[place] : offsets[place + 1]] = rng.multinomial(ROWS, counts / counts.sum())
    return pane
