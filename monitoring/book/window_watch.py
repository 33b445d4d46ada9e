"""What is watched in the sealed windows of each version and arm: rates of bad data, silence, and evidence."""

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from math import log10

from driftgate.monitoring.alerts.alert import Finding
from driftgate.monitoring.drift.detector_codec import decode_state, encode_state
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.quality.alarms import QualityAlarms, TargetOf
from driftgate.monitoring.quality.findings import ArmQuality
from driftgate.monitoring.quality.rates import QualityRates, QualityWatch
from driftgate.monitoring.quality.silence import Silence
from driftgate.monitoring.quality.silence_watch import ModelArm, SilenceWatch
from driftgate.monitoring.reference.book import ReferenceBook
from driftgate.monitoring.windows.pane import ALL_ROWS, Pane, PaneKey
from driftgate.monitoring.windows.window_status import QualityFigure, WindowFigures

MOST_FIGURES = 50
"""Rates of one arm that are told as figures, those with the most evidence first."""
_STATES = "quality/"
Stream = tuple[str, int, str, str]
"""Model, version, arm and reference."""


class WindowWatch:
    """Takes sealed windows in, in the order of time; goes on from what another one had `saved`."""

    def __init__(
        self, book: ReferenceBook, saved: Mapping[str, bytes], silence: SilenceWatch, target_of: TargetOf
    ) -> None:
        self._book = book
        self._silence = silence
        self._alarms = QualityAlarms(target_of)
        self._sealed_us = 0
        self._saved = {name: state for name, state in saved.items() if name.startswith(_STATES)}
        self._watches: dict[Stream, QualityWatch] = {}
        self._rates: dict[Stream, QualityRates] = {}
        self._last: dict[Stream, tuple[int, Pane]] = {}
        self._changed: set[Stream] = set()
        self._bad: dict[Stream, list[QualityFigure]] = {}
        """What is told of the last window of a stream, worked out once: it is asked for every second."""

    def update(self, sealed: Mapping[PaneKey, Pane], sealed_us: int) -> None:
        """Take in windows that were sealed together; now all before `sealed_us` are."""
        self._silence.update(sealed, sealed_us)
        is_news = sealed_us > self._sealed_us
        self._sealed_us = max(self._sealed_us, sealed_us)
        for key in sorted(sealed, key=lambda key: key.start_us):
            if key.segment == ALL_ROWS:
                stream = (key.model, key.version, key.arm, key.profile)
                watch = self._watch(stream, key)
                if watch is not None:
                    watch.update(sealed[key], key.start_us)
                    self._last[stream] = key.start_us, sealed[key]
                    self._changed.add(stream)
                    self._bad.pop(stream, None)
        if is_news:
            self._look({(key.model, key.version) for key in sealed})

    def findings(self) -> list[Finding]:
        """Return what alerts are told of bad data and of silence."""
        return self._alarms.findings(self._sealed_us)

    def changes(self) -> dict[str, bytes]:
        """Return the states that changed since `committed`, by name."""
        rates = {_name(stream): encode_state(self._watches[stream].state) for stream in self._changed}
        return rates | self._silence.changes()

    def committed(self) -> None:
        """Forget what has changed: it is saved."""
        self._changed.clear()
        self._silence.committed()

    def figures(self) -> tuple[WindowFigures, ...]:
        """Return the last window of every version's arm."""
        newest, arms = self._newest(), self._silence.arms()
        # Of the versions that served an arm the last one is told to be silent
        last = {ModelArm(stream[0], stream[2]): stream for stream in newest.values()}
        silences = {stream: arms.get(arm) for arm, stream in last.items()}
        return tuple(self._figures(stream, silences.get(stream)) for stream in sorted(newest.values()))

    def _newest(self) -> dict[Stream, Stream]:
        """Return the last stream of each version and arm: that of the reference in force."""
        newest: dict[Stream, Stream] = {}
        for stream in sorted(self._last, key=lambda stream: self._last[stream][0]):
            newest[(*stream[:3], "")] = stream
        return newest

    def _look(self, versions: Collection[tuple[str, int]]) -> None:
        """Let alarms see the windows of some versions, and silence."""
        newest = sorted(self._newest().values())
        for (model, version), group in groupby(newest, key=lambda stream: stream[:2]):
            if (model, version) not in versions:
                continue
            streams = list(group)
            if self._alarms.take(model, version, [self._quality(one) for one in streams]):
                for stream in streams:
                    self._watches[stream].reset()
                    self._changed.add(stream)
                    self._bad.pop(stream, None)
        by_time = sorted(newest, key=lambda stream: self._last[stream][0])
        last = {ModelArm(stream[0], stream[2]): stream[1] for stream in by_time}
        self._alarms.take_silence(self._silence.arms(), last, self._sealed_us)

    def _quality(self, stream: Stream) -> ArmQuality:
        start_us, pane = self._last[stream]
        watch, rates = self._watches[stream], self._rates[stream]
        return ArmQuality(
            stream[2], start_us, rates.rates, rates.count(pane), watch.highest, watch.evidence()
        )

    def _watch(self, stream: Stream, key: PaneKey) -> QualityWatch | None:
        watch = self._watches.get(stream)
        if watch is None:
            reference = self._book.at(key.model, key.version, key.start_us)
            if reference is None or reference.reference.id != key.profile:
                return None
            rates = self._rates[stream] = QualityRates(reference.reference.profile)
            watch = self._watches[stream] = QualityWatch(rates)
            saved = self._saved.pop(_name(stream), None)
            if saved is not None:
                _restore(watch, saved)
        return watch

    def _figures(self, stream: Stream, silence: Silence | None) -> WindowFigures:
        start_us, pane = self._last[stream]
        reference = self._book.at(stream[0], stream[1], start_us)
        profile = reference.reference.profile if reference is not None else None
        if stream not in self._bad:
            self._bad[stream] = self._bad_figures(stream)
        found = [*self._bad[stream], *_silent(silence)]
        found.sort(key=lambda one: (-one.log10_evidence, -one.hits, one.feature))
        return WindowFigures(
            model=stream[0],
            version=stream[1],
            arm=stream[2],
            start_us=start_us,
            rows=pane.rows,
            source=profile.source if profile is not None else "none",
            reference_rows=profile.rows if profile is not None else 0,
            reference_id=stream[3],
            quality=tuple(found[:MOST_FIGURES]),
        )

    def _bad_figures(self, stream: Stream) -> list[QualityFigure]:
        counts = self._rates[stream].count(self._last[stream][1])
        evidence = self._watches[stream].evidence().tolist()
        return [
            QualityFigure(*rate, int(hits), int(rows), log10(capital) if capital > 0 else 0.0)
            for rate, hits, rows, capital in zip(self._rates[stream].rates, *counts, evidence, strict=True)
            if hits or capital >= 1
        ]


def _silent(silence: Silence | None) -> Iterator[QualityFigure]:
    if silence is not None and (silence.run or silence.evidence >= 1):
        strength = log10(silence.evidence) if silence.evidence > 0 else 0.0
        yield QualityFigure("no_traffic", "", silence.run, silence.run, strength)


def _name(stream: Stream) -> str:
    return _STATES + "/".join(map(str, stream))


def _restore(watch: QualityWatch, saved: bytes) -> None:
    try:
        watch.restore(decode_state(saved))
    except (ValueError, NewerFormat):
        return  # of other rates: evidence begins anew
