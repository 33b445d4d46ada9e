"""Reads the windows of one model and says what they show; thin, and for a thread of its own."""

import time
from collections import Counter
from dataclasses import dataclass

import msgspec

from driftgate.gateway.dashboard.drift_words import MovedCell, find_feature, moved_cell, named_features
from driftgate.gateway.dashboard.evidence import ArmEvidence, arm_evidence
from driftgate.gateway.dashboard.history import ArmHistory, history, step_us
from driftgate.gateway.dashboard.monitor_reader import monitor_book, read_drift_status
from driftgate.gateway.dashboard.one_feature import FeatureCells, NamedValue, Stretch, feature_cells
from driftgate.gateway.dashboard.power_book import PowerBook, VersionPower
from driftgate.gateway.dashboard.quality import ArmQuality, arm_quality
from driftgate.gateway.errors import NotFound
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.windows import read_window_status
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, CountedPane, PaneKey

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
LEAST_SHOWN = 10
"""Windows, of a model that has had traffic for a moment only."""
MOST_NAMED = 12
"""Features, to whoever asks for one that is not there."""
LENGTHS = (60, 15, 5, 1)
"""Minutes of a window where nobody says how long it shall be."""


class HistoryAnswer(msgspec.Struct, frozen=True):
    """Rows, errors and latency of each arm from `first_us` to `end_us`, in steps of `step_us`."""

    model: str
    first_us: int
    end_us: int
    step_us: int
    arms: tuple[ArmHistory, ...]


class EvidenceAnswer(msgspec.Struct, frozen=True):
    """Evidence of drift from `first_us` to `end_us` in steps of `step_us`, for each arm."""

    model: str
    first_us: int
    end_us: int
    step_us: int
    arms: tuple[ArmEvidence, ...]


class QualityAnswer(msgspec.Struct, frozen=True):
    """Data quality of each arm in its last complete window."""

    model: str
    arms: tuple[ArmQuality, ...]


class PowerAnswer(msgspec.Struct, frozen=True):
    """References of a model's versions, and what they can show."""

    model: str
    versions: tuple[VersionPower, ...]


class FeatureAnswer(msgspec.Struct, frozen=True):
    """One feature of one arm. `moved` is the cell that speaks most for drift, None where nothing does."""

    model: str
    version: int
    arm: str
    name: str
    role: str
    log10_evidence: float | None
    is_named: bool
    moved: MovedCell | None
    windows: FeatureCells


@dataclass(frozen=True)
class FeatureQuestion:
    """Which feature of which arm (None: the one with the newest window), and of what time.

    The window is the last `minutes` (None: an hour, or less where there is none before it); the trend begins
    at `first_us`.
    """

    model: str
    name: str
    version: int | None
    arm: str | None
    minutes: int | None
    first_us: int


class WindowReader:
    """Answers questions about windows from the files of the monitor."""

    def __init__(self, layout: StateLayout) -> None:
        self._layout = layout
        self._power = PowerBook()

    def history(self, model: str, first_us: int) -> HistoryAnswer:
        """Return how rows, errors and latency went since a time, without the window that is open."""
        window_us = self._window_us()
        end_us = _now_us() // window_us * window_us
        with monitor_book(self._layout) as db:
            first_us = _first_shown(db, model, first_us, end_us - LEAST_SHOWN * window_us)
            step = step_us(first_us, end_us, window_us)
            first_us = first_us // step * step
            panes = _counts(db, model, step, (first_us, end_us)) if db else []
            profiles = {one.id: one.profile for one in db.references(model)} if db else {}
        return HistoryAnswer(model, first_us, end_us, step, history(panes, profiles, step))

    def evidence(self, model: str, first_us: int) -> EvidenceAnswer:
        """Return how evidence went since a time."""
        end_us, window_us = _now_us(), self._window_us()
        with monitor_book(self._layout) as db:
            first_us = _first_shown(db, model, first_us, end_us - LEAST_SHOWN * window_us)
            step = step_us(first_us, end_us, window_us)
            first_us = first_us // step * step
            stored = db.evidence(model, (first_us, end_us), step) if db else []
            profiles = {one.id: one.profile for one in db.references(model)} if db else {}
        named = named_features(read_drift_status(self._layout), model)
        return EvidenceAnswer(model, first_us, end_us, step, arm_evidence(stored, profiles, named, step))

    def quality(self, model: str) -> QualityAnswer:
        """Return the rates of the last complete windows, of arms that had one within the hour."""
        status, first_us = read_window_status(self._layout), _now_us() - HOUR_US
        known = status.figures if status else ()
        figures = [one for one in known if one.model == model and one.start_us >= first_us]
        found: dict[tuple[int, str, str], list[NamedValue]] = {}
        with monitor_book(self._layout) as db:
            if db is not None and figures:
                found = _new_values(db, model, min(one.start_us for one in figures))
        return QualityAnswer(model, tuple(arm_quality(one, found) for one in figures))

    def power(self, model: str) -> PowerAnswer:
        """Return what windows are compared with, and what that can show."""
        now_us = _now_us()
        with monitor_book(self._layout) as db:
            references = db.references(model) if db else []
            panes = db.pane_counts(model, now_us - HOUR_US, now_us) if db else []
        rows: Counter[int] = Counter()
        for key, pane in panes:
            rows[key.version] += pane.rows
        first_us = min((key.start_us for key, _ in panes), default=now_us)
        seconds = max(60.0, (now_us - first_us) / 1e6)
        rates = {version: count / seconds for version, count in rows.items()}
        status = read_drift_status(self._layout)
        return PowerAnswer(model, self._power.versions(references, rates, status))

    def feature(self, question: FeatureQuestion) -> FeatureAnswer:
        """Return what is to be said of one feature; raise NotFound where nothing is known of it."""
        with monitor_book(self._layout) as db:
            reference, arm = _reference(db, question)
            place = next(
                (at for at, one in enumerate(reference.profile.features) if one.name == question.name), None
            )
            if db is None or place is None:
                names = ", ".join(repr(one.name) for one in reference.profile.features[:MOST_NAMED])
                raise NotFound(
                    f"version {reference.version} has no feature of that name that is watched; it has {names}"
                )
            stretch = _stretch(question, self._window_us(), db.first_pane_us(question.model) or 0)
            series = PaneKey(question.model, reference.version, arm, ALL_ROWS, reference.id, 0)
            stored = _feature_counts(db, series, stretch)
        panes = {key.start_us: pane for key, pane in stored}
        status = read_drift_status(self._layout)
        figure = find_feature(status, question.model, (reference.version, arm), question.name)
        return FeatureAnswer(
            model=question.model,
            version=reference.version,
            arm=arm,
            name=question.name,
            role=reference.profile.features[place].role,
            log10_evidence=figure.log10_evidence if figure else None,
            is_named=figure.is_named if figure else False,
            moved=moved_cell(figure),
            windows=feature_cells(reference.profile, place, panes, stretch),
        )

    def _window_us(self) -> int:
        status = read_drift_status(self._layout)
        return status.window_us if status is not None else PANE_US


def _reference(db: MonitorDb | None, question: FeatureQuestion) -> tuple[Reference, str]:
    """Return the newest reference of the arm that is asked for, and the arm's name."""
    arms = {
        (version, arm): start_us
        for (model, version, arm), (start_us, _) in (db.last_panes() if db else {}).items()
        if model == question.model and question.version in (None, version) and question.arm in (None, arm)
    }
    if db is None or not arms:
        raise NotFound("this arm has no windows yet: rows are counted some seconds after their answers")
    version, arm = max(arms, key=lambda key: arms[key])
    found = [one for one in db.references(question.model) if one.version == version]
    if not found:
        raise NotFound(f"version {version} has no reference yet")
    return found[-1], arm


def _stretch(question: FeatureQuestion, window_us: int, known_us: int) -> Stretch:
    """Return what is looked at, of windows that begin at `known_us`."""
    end_us = (_now_us() // window_us + 1) * window_us
    first_us = max(
        min(question.first_us, end_us - window_us), min(known_us, end_us - LEAST_SHOWN * window_us)
    )
    length_us = MINUTE_US * (question.minutes or _minutes(end_us - known_us))
    length_us = max(window_us, length_us)
    return Stretch(end_us - length_us, end_us, first_us, step_us(first_us, end_us, window_us))


def _minutes(known_us: int) -> int:
    """Return how long a window may be that has one as long before it."""
    return next((one for one in LENGTHS if 2 * one * MINUTE_US <= known_us), LENGTHS[-1])


def _feature_counts(db: MonitorDb, series: PaneKey, stretch: Stretch) -> list[tuple[PaneKey, CountedPane]]:
    """Return the windows of a series, summed by the hour where neither window nor trend has finer steps."""

    def accept(key: PaneKey) -> bool:
        return key[:5] == series[:5]

    times = [stretch.before_us, stretch.window_us, stretch.first_us, stretch.end_us]
    if stretch.step_us % HOUR_US == 0:
        return db.hour_counts(series.model, times, accept)
    earlier = [time_us for time_us in times if time_us <= stretch.first_us]
    return [
        *db.hour_counts(series.model, earlier, accept),
        *db.pane_counts(series.model, stretch.first_us, stretch.end_us, accept),
    ]


def _counts(
    db: MonitorDb, model: str, step: int, between: tuple[int, int]
) -> list[tuple[PaneKey, CountedPane]]:
    """Return a model's windows that began in [first, end), summed by the hour if that will do."""
    return db.hour_counts(model, between) if step % HOUR_US == 0 else db.pane_counts(model, *between)


def _first_shown(db: MonitorDb | None, model: str, first_us: int, latest_us: int) -> int:
    """Return where to begin: with the model's first window, and at `latest_us` at the latest."""
    known_us = db.first_pane_us(model) if db else None
    return first_us if known_us is None else max(first_us, min(known_us, latest_us))


def _new_values(db: MonitorDb, model: str, first_us: int) -> dict[tuple[int, str, str], list[NamedValue]]:
    names = {one.id: [feature.name for feature in one.profile.features] for one in db.references(model)}
    found: dict[tuple[int, str, str], list[NamedValue]] = {}
    for key, pane in db.pane_counts(model, first_us, _now_us()):
        for place, values in pane.quality.new_values.items():
            if place < len(names.get(key.profile, ())):
                own = found.setdefault((key.version, key.arm, names[key.profile][place]), [])
                own[:] = [NamedValue(one.value, one.count) for one in values.get(10)]
    return found


def _now_us() -> int:
    return time.time_ns() // 1000
