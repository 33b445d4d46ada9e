"""Keeps the drift of all versions in one monitor: takes sealed windows in once, in order, and tells of it.

The rule kept here: what is saved says up to which window it goes, and windows from there on are taken in
again after a restart. So evidence is the same to the last bit, whenever a monitor was killed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from driftgate.monitoring.alerts.alert import Finding
from driftgate.monitoring.book.drift_hours import HoursKeeper
from driftgate.monitoring.book.drift_tables import POSITION, encode_evidence
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.drift.figures import version_figure
from driftgate.monitoring.drift.findings import drift_findings
from driftgate.monitoring.drift.plan import PlanOf
from driftgate.monitoring.drift.seasons import HOURS, WEEK_US
from driftgate.monitoring.drift.states import encode_drift, restore_drift
from driftgate.monitoring.drift.status import VersionFigure
from driftgate.monitoring.drift.targets import DriftTargets
from driftgate.monitoring.drift.version_drift import StreamKey, VersionDrift
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.reference.book import ReferenceBook
from driftgate.monitoring.reference.completion import completes
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.pane import Pane, PaneKey
from driftgate.monitoring.windows.pane_codec import InvalidPane

SAVE_EVERY_US = 300_000_000
LIVE_US = 86_400_000_000
"""Versions without windows for longer take no part of the budget."""
OTHER_TESTS = 2
"""Of a version: bad data, and no data."""
MOST_BYTES = 512 * 2**20
"""Of all detectors together; further segments are not watched for drift."""
MOST_UNSAVED = 100_000
"""Evidence after windows that waits to be written."""
_BYTES_PER_CELL = 240
_BYTES_PER_LEARNT_CELL = _BYTES_PER_CELL + 8 * HOURS
_STATES = "drift/"


class VersionKey(NamedTuple):
    """A version of a model."""

    model: str
    version: int


@dataclass
class _Kept:
    """A version's drift under the reference of this id; `figure` is None once it is out of date."""

    profile: str
    drift: VersionDrift
    figure: VersionFigure | None = None
    is_saved: bool = False

    def changed(self) -> None:
        self.figure, self.is_saved = None, False


class DriftKeeper:
    """Goes on from what is saved in the book, and the windows that were sealed since."""

    def __init__(
        self,
        db: MonitorDb,
        book: ReferenceBook,
        plan_of: PlanOf,
        targets: DriftTargets,
        note: Callable[[str], None],
    ) -> None:
        self._book, self._plan_of, self._targets, self._note = book, plan_of, targets, note
        self._versions: dict[VersionKey, _Kept] = {}
        self._given_up: set[str] = set()
        self._evidence: dict[PaneKey, bytes] = {}
        self._saved_us = 0
        saved = db.detectors()
        self._hours = HoursKeeper(db.panes, saved, note)
        for name, data in saved.items():
            if name.startswith(_STATES) and name != POSITION and data:
                self._restore(name, data)
        self._count_tests()
        if POSITION in saved:
            self._saved_us = int.from_bytes(saved[POSITION], "big")
            self._take_again(db)

    def update(self, sealed: Mapping[PaneKey, Pane]) -> None:
        """Take in windows that were sealed together."""
        for (start_us, model, version, profile), keys in groupby(sorted(sealed, key=_order), key=_order):
            kept = self._at(VersionKey(model, version), profile, start_us)
            if kept is not None:
                self._take(kept, {key: sealed[key] for key in keys})

    def obey(self) -> None:
        """Follow what settings and operators say now; forget versions without windows for a week."""
        newest_us = max((kept.drift.last_us for kept in self._versions.values()), default=0)
        for key, kept in list(self._versions.items()):
            plan, drift = self._plan_of(*key), kept.drift
            if drift.last_us < newest_us - WEEK_US:
                self._give_up(key)
            elif plan.judging != drift.plan.judging:
                begun = self._versions[key] = self._begun(key, kept.profile, drift.profile)
                begun.drift.first_us, begun.drift.last_us = drift.first_us, drift.last_us
            elif plan != drift.plan:
                drift.obey(plan)
                kept.changed()
        self._count_tests()

    def acknowledge(self, model: str, version: int, now_us: int) -> None:
        """Let the evidence of a version begin anew: somebody has looked at what it was."""
        kept = self._versions.get(VersionKey(model, version))
        if kept is not None:
            kept.drift.forget(now_us)
            kept.changed()
            self._saved_us = 0

    def findings(self) -> list[Finding]:
        """Return what is found now in versions that are armed."""
        return [
            finding
            for key, kept in self._versions.items()
            for finding in drift_findings(*key, kept.drift, self._targets.of(key.model))
        ]

    def figures(self) -> tuple[VersionFigure, ...]:
        """Return what is told of every version."""
        for key, kept in self._versions.items():
            if kept.figure is None:
                kept.figure = version_figure((*key, kept.profile), kept.drift, self._targets.of(key.model))
        return tuple(kept.figure for _, kept in sorted(self._versions.items()) if kept.figure is not None)

    def evidence(self) -> dict[PaneKey, bytes]:
        """Return the evidence after windows since `committed`."""
        return dict(self._evidence)

    def states(self, sealed_us: int, all_of_them: bool = False) -> dict[str, bytes]:
        """Return the states to be saved, if it is time: what changed, or all, and up to when they go."""
        if not all_of_them and sealed_us < self._saved_us + SAVE_EVERY_US:
            return self._hours.unsaved()
        found = {
            _name(key, kept.profile): encode_drift(kept.drift)
            for key, kept in self._versions.items()
            if all_of_them or not kept.is_saved
        }
        given_up = dict.fromkeys(self._given_up - found.keys(), b"")
        return self._hours.unsaved() | given_up | found | {POSITION: sealed_us.to_bytes(8, "big")}

    def committed(self, states: Mapping[str, bytes]) -> None:
        """Forget what is saved: these states, and the evidence after windows."""
        self._evidence.clear()
        self._hours.saved()
        if POSITION in states:
            self._saved_us = int.from_bytes(states[POSITION], "big")
            self._given_up.clear()
            for kept in self._versions.values():
                kept.is_saved = True

    def _take_again(self, db: MonitorDb) -> None:
        """Take in the windows that were sealed after the states were saved."""
        try:
            self.update(dict(db.sealed_panes(self._saved_us)))
        except InvalidPane as error:
            self._note(f"evidence lacks windows since it was last saved: {error}")

    def _take(self, kept: _Kept, panes: Mapping[PaneKey, Pane]) -> None:
        key, drift = next(iter(panes)), kept.drift
        fitting = {_stream(key): pane for key, pane in panes.items() if self._fits(drift, key)}
        drift.take(fitting, key.start_us)
        drift.look(self._targets.of(key.model), key.start_us)
        kept.changed()
        for place in panes:
            stream = drift.streams.get(_stream(place))
            if stream is not None and len(self._evidence) < MOST_UNSAVED:
                self._evidence[place] = encode_evidence(stream.features.features)

    def _fits(self, drift: VersionDrift, key: PaneKey) -> bool:
        if not key.segment or _stream(key) in drift.streams or not drift.is_tested:
            return True
        used = sum(len(kept.drift.streams) * _stream_bytes(kept.drift) for kept in self._versions.values())
        if used + _stream_bytes(drift) <= MOST_BYTES:
            return True
        self._note(f"{key.model}: there are too many segments; drift in {key.segment!r} is not watched")
        return False

    def _at(self, key: VersionKey, profile: str, start_us: int) -> _Kept | None:
        kept = self._versions.get(key)
        if kept is not None and kept.profile == profile:
            return kept
        reference = self._book.at(*key, start_us)
        if reference is None or reference.reference.id != profile:
            return None
        begun = self._begun(key, profile, reference.reference.profile)
        if kept is not None:
            self._give_up(key)
            if completes(begun.drift.profile, kept.drift.profile):
                restore_drift(begun.drift, encode_drift(kept.drift))
        self._versions[key] = begun
        self._count_tests()
        return begun

    def _begun(self, key: VersionKey, profile: str, reference: ReferenceProfile) -> _Kept:
        plan = self._plan_of(*key)
        hours = self._hours.of(key, profile, reference, plan.judging)
        return _Kept(profile, VersionDrift(reference, plan, hours))

    def _restore(self, name: str, data: bytes) -> None:
        model, version, profile = name.removeprefix(_STATES).rsplit("/", 2)
        key = VersionKey(model, int(version))
        reference = self._book.with_id(*key, profile)
        if reference is None:
            self._given_up.add(name)
            return
        kept = self._begun(key, profile, reference)
        try:
            restore_drift(kept.drift, data)
            kept.drift.obey(kept.drift.plan)
        except (ValueError, NewerFormat) as error:
            self._note(f"the evidence of {model} version {version} begins anew: {error}")
            kept = self._begun(key, profile, reference)
        self._versions[key] = kept

    def _give_up(self, key: VersionKey) -> None:
        kept = self._versions.pop(key)
        self._given_up.add(_name(key, kept.profile))

    def _count_tests(self) -> None:
        newest_us = max((kept.drift.last_us for kept in self._versions.values()), default=0)
        tests: Counter[str] = Counter()
        for key, kept in self._versions.items():
            if kept.drift.last_us >= newest_us - LIVE_US:
                tests[key.model] += kept.drift.tests + OTHER_TESTS
        moved = self._targets.count(tests)
        for key, kept in self._versions.items():
            if key.model in moved:
                kept.figure = None


def _order(key: PaneKey) -> tuple[int, str, int, str]:
    return key.start_us, key.model, key.version, key.profile


def _stream(key: PaneKey) -> StreamKey:
    return StreamKey(key.arm, key.segment)


def _stream_bytes(drift: VersionDrift) -> int:
    paired = len(drift.profile.pairs.features)
    cells = sum(one.cells.size for one in drift.profile.features) + paired * (paired - 1) // 2
    return cells * (_BYTES_PER_LEARNT_CELL if drift.plan.judging.learnt else _BYTES_PER_CELL)


def _name(key: VersionKey, profile: str) -> str:
    return f"{_STATES}{key.model}/{key.version}/{profile}"
