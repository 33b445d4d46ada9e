"""Which arms should have traffic and have none: sealed windows are taken in for all arms that are known."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from driftgate.monitoring.quality.silence import Silence, restored_silences
from driftgate.monitoring.windows.pane import ALL_ROWS, Pane, PaneKey

PREFIX = "silence/"
MOST_EMPTY_WINDOWS = 2
"""Sealed at once in which no arm of any model has rows; where there are more, the gateway was not there."""

ArmsOf = Callable[[str], Collection[str] | None]
"""Returns the arms of a model that should have traffic; None: any may."""


class ModelArm(NamedTuple):
    """An arm of a model, whatever version serves it."""

    model: str
    arm: str


class SilenceWatch:
    """Begins to watch an arm with its first rows, and ends when it is to have no traffic any more."""

    def __init__(self, arms_of: ArmsOf, window_us: int, saved: Mapping[str, bytes]) -> None:
        self._arms_of = arms_of
        self._window_us = window_us
        self._arms = {_arm(name): one for name, one in restored_silences(saved, PREFIX, window_us).items()}
        self._changed: set[ModelArm] = set()
        self._sealed_us = 0

    def update(self, sealed: Mapping[PaneKey, Pane], sealed_us: int) -> None:
        """Take in the windows that were sealed together; now all before `sealed_us` are."""
        seen: dict[int, set[ModelArm]] = {}
        for key in sealed:
            if key.segment == ALL_ROWS:
                seen.setdefault(key.start_us, set()).add(ModelArm(key.model, key.arm))
        if self._sealed_us and sealed_us - self._sealed_us <= MOST_EMPTY_WINDOWS * self._window_us:
            for start_us in range(self._sealed_us, sealed_us, self._window_us):
                seen.setdefault(start_us, set())
        self._sealed_us = max(self._sealed_us, sealed_us)
        if seen:
            self._forget()
        for start_us in sorted(seen):
            self._take(start_us, seen[start_us])

    def arms(self) -> Mapping[ModelArm, Silence]:
        """Return all arms that are watched."""
        return self._arms

    def changes(self) -> dict[str, bytes]:
        """Return the states that changed since `committed`, by name; empty of those that are over."""
        return {
            f"{PREFIX}{arm.model}/{arm.arm}": self._arms[arm].encode() if arm in self._arms else b""
            for arm in self._changed
        }

    def committed(self) -> None:
        """Forget what has changed: it is saved."""
        self._changed.clear()

    def _take(self, start_us: int, seen: set[ModelArm]) -> None:
        for arm in seen - self._arms.keys():
            if self._is_expected(arm):
                self._arms[arm] = Silence(self._window_us)
        for arm, silence in self._arms.items():
            silence.update(start_us, arm not in seen)
            self._changed.add(arm)

    def _forget(self) -> None:
        for arm in [arm for arm in self._arms if not self._is_expected(arm)]:
            del self._arms[arm]
            self._changed.add(arm)

    def _is_expected(self, arm: ModelArm) -> bool:
        arms = self._arms_of(arm.model)
        return arms is None or arm.arm in arms


def _arm(name: str) -> ModelArm:
    model, _, arm = name.partition("/")
    return ModelArm(model, arm)
