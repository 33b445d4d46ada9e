"""Silence: windows in which an arm that has traffic has none, as a rate with evidence. Pure.

A quiet night is no failure. How often windows are empty is learnt for each hour of the week from the weeks
before, or from other days while there are too few weeks; until a second day nothing is judged.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from driftgate.monitoring.drift.detector_codec import decode_state, encode_state
from driftgate.monitoring.drift.seasons import HOURS, hour_of_week
from driftgate.monitoring.log.frames import NewerFormat
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.quality.bernoulli import highest_rates, rate_bets, rate_detector

LEAST_WINDOWS = 180
"""Of an hour and those beside it, on which to say how often there is nothing: three hours of minutes."""
TOLERANCE = 0.01
MOST_SHARE = 0.5
"""Where more windows than this may be empty, another one says nothing."""
_DAY = 24


class _State(msgspec.Struct, frozen=True, array_like=True):
    windows: list[int]
    empty: list[int]
    run: int
    since_us: int
    detector: bytes


class Silence:
    """Of one arm: learns when it is quiet, and gathers evidence that it is quiet when it should not be."""

    def __init__(self) -> None:
        self._windows = np.zeros(HOURS, np.int64)
        self._empty = np.zeros(HOURS, np.int64)
        self._detector = rate_detector(rate_bets(np.array([TOLERANCE])))
        self.run = 0
        """How many windows on end have been empty."""
        self.since_us = 0
        """When the first of them began, in Unix microseconds."""

    def update(self, window_us: int, is_empty: bool) -> None:
        """Take in the window that began then; every window once, in the order of time."""
        hour = hour_of_week(window_us)
        highest = self.highest(hour)
        if highest <= MOST_SHARE:
            hits = np.array([int(is_empty)])
            self._detector.update(rate_bets(np.array([highest])), hits, np.ones(1, np.int64), window_us)
        self._windows[hour] += 1
        self._empty[hour] += is_empty
        if is_empty and not self.run:
            self.since_us = window_us
        self.run = self.run + 1 if is_empty else 0

    def highest(self, hour: int) -> float:
        """Return the highest share of empty windows in an hour of the week that is in order; 1: any."""
        near = np.arange(hour - 1, hour + 2)
        for hours in (near % HOURS, (near[:, None] + _DAY * np.arange(HOURS // _DAY)).ravel() % HOURS):
            windows = int(self._windows[hours].sum())
            if windows >= LEAST_WINDOWS:
                empty = int(self._empty[hours].sum())
                return float(highest_rates(np.array([empty]), np.array([windows]), TOLERANCE)[0])
        return 1.0

    @property
    def evidence(self) -> float:
        """How much the windows so far speak for silence, 0 before any was judged."""
        return float(self._detector.evidence().features[0])

    def encode(self) -> bytes:
        """Return the bytes to go on from."""
        detector = encode_state(self._detector.state)
        lists = self._windows.tolist(), self._empty.tolist()
        return msgspec.msgpack.encode(_State(*lists, self.run, self.since_us, detector))


def decode_silence(data: bytes) -> Silence:
    """Return what was encoded; raise ValueError or NewerFormat if the bytes are nothing of the kind."""
    silence = Silence()
    try:
        state = msgspec.msgpack.decode(data, type=_State)
    except msgspec.MsgspecError as error:
        raise ValueError(f"what is known of quiet hours cannot be read: {error}") from error
    silence._windows[:], silence._empty[:] = _hours(state.windows), _hours(state.empty)
    silence.run, silence.since_us = state.run, state.since_us
    silence._detector.restore(decode_state(state.detector))
    return silence


def restored_silences(saved: Mapping[str, bytes], prefix: str) -> dict[str, Silence]:
    """Return what can be gone on from, by the name after the prefix; the rest begins anew."""
    found: dict[str, Silence] = {}
    for name, data in saved.items():
        if name.startswith(prefix) and data:
            try:
                found[name.removeprefix(prefix)] = decode_silence(data)
            except (ValueError, NewerFormat):
                continue
    return found


def _hours(counts: list[int]) -> Array:
    if len(counts) != HOURS:
        raise ValueError("there is not a count for each hour of the week")
    return np.array(counts, np.int64)
