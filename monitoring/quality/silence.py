"""Silence: windows in which an arm that has traffic has none, as a rate with evidence. Pure.

A quiet night is no failure. How often windows are empty is learnt for each hour of the week from the weeks
before; until an hour has come for the second time, from other days, and evidence of that is kept apart.
Before a second day nothing is judged.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from driftgate.monitoring.drift.detector_codec import decode_state, encode_state
from driftgate.monitoring.drift.e_detector import EDetector
from driftgate.monitoring.drift.seasons import HOUR_US, HOURS, hour_of_week
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.quality.bernoulli import highest_rates, rate_bets, rate_detector
from driftgate.monitoring.windows.pane import PANE_US

LEAST_HOURS = 3
"""Of an hour and those beside it, on which to say how often there is nothing: all three must have been."""
TOLERANCE = 0.01
MOST_SHARE = 0.5
"""Where more windows than this may be empty, another one says nothing."""
_DAY = 24


class _State(msgspec.Struct, frozen=True, array_like=True):
    windows: list[int]
    empty: list[int]
    run: int
    full: int
    since_us: int
    detector: bytes
    early: bytes


class Silence:
    """Of one arm: learns when it is quiet, and gathers evidence that it is quiet when it should not be."""

    def __init__(self, window_us: int = PANE_US) -> None:
        self._least = max(1, LEAST_HOURS * HOUR_US // window_us)
        self._windows = np.zeros(HOURS, np.int64)
        self._empty = np.zeros(HOURS, np.int64)
        self._detector, self._early = _detector(), _detector()
        self.run = self.full = 0
        """How many windows on end have been empty, or had rows."""
        self.since_us = 0
        """When the first of the empty ones began, in Unix microseconds."""

    def update(self, window_us: int, is_empty: bool) -> None:
        """Take in the window that began then; every window once, in the order of time."""
        hour = hour_of_week(window_us)
        near = np.arange(hour - 1, hour + 2)
        detector, highest = self._detector, self._highest(near % HOURS)
        if highest is None:
            detector, highest = self._early, self._highest(_on_all_days(near))
        if highest is not None and highest <= MOST_SHARE:
            hits = np.array([int(is_empty)])
            detector.update(rate_bets(np.array([highest])), hits, np.ones(1, np.int64), window_us)
        self._windows[hour] += 1
        self._empty[hour] += is_empty
        if is_empty and not self.run:
            self.since_us = window_us
        self.run, self.full = (self.run + 1, 0) if is_empty else (0, self.full + 1)

    def forget(self) -> None:
        """Let evidence begin anew; what is known of quiet hours stays."""
        self._detector.reset()
        self._early.reset()

    @property
    def evidence(self) -> float:
        """How much the windows so far speak for silence, 0 before any was judged."""
        return float(self._detector.evidence().features[0])

    @property
    def early_evidence(self) -> float:
        """The same of windows that could be judged by other days alone: it may be the first quiet weekend."""
        return float(self._early.evidence().features[0])

    def encode(self) -> bytes:
        """Return the bytes to go on from."""
        states = encode_state(self._detector.state), encode_state(self._early.state)
        lists = self._windows.tolist(), self._empty.tolist()
        return msgspec.msgpack.encode(_State(*lists, self.run, self.full, self.since_us, *states))

    def _highest(self, hours: Array) -> float | None:
        """Return the highest share of empty windows that is in order, by hours; None: too few are known."""
        windows = int(self._windows[hours].sum())
        if windows < self._least:
            return None
        empty = int(self._empty[hours].sum())
        return float(highest_rates(np.array([empty]), np.array([windows]), TOLERANCE)[0])


def decode_silence(data: bytes, window_us: int = PANE_US) -> Silence:
    """Return what was encoded; raise ValueError or NewerFormat if the bytes are nothing of the kind."""
    silence = Silence(window_us)
    try:
        state = msgspec.msgpack.decode(data, type=_State)
    except msgspec.MsgspecError as error:
        raise ValueError(f"what is known of quiet hours cannot be read: {error}") from error
    silence._windows[:], silence._empty[:] = _hours(state.windows), _hours(state.empty)
    silence.run, silence.full, silence.since_us = state.run, state.full, state.since_us
    silence._detector.restore(decode_state(state.detector))
    silence._early.restore(decode_state(state.early))
    return silence


def restored_silences(saved: Mapping[str, bytes], prefix: str, window_us: int) -> dict[str, Silence]:
    """Return what can be gone on from, by the name after the prefix; the rest begins anew."""
    found: dict[str, Silence] = {}
    for name, data in saved.items():
        if name.startswith(prefix) and data:
            try:
                found[name.removeprefix(prefix)] = decode_silence(data, window_us)
            except (ValueError, NewerFormat):
                continue
    return found


def _detector() -> EDetector:
    return rate_detector(rate_bets(np.array([TOLERANCE])))


def _on_all_days(hours: Array) -> Array:
    return np.asarray((hours[:, None] + _DAY * np.arange(HOURS // _DAY)).ravel() % HOURS)


def _hours(counts: list[int]) -> Array:
    if len(counts) != HOURS:
        raise ValueError("there is not a count for each hour of the week")
    return np.array(counts, np.int64)
