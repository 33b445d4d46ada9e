"""What there is against versions: crashes, non-finite answers, and that nobody can load them.

Versions are named as in beats, such as "fraud/7". The keeper looks only while some model has versions to
choose from; what it counts begins anew with its process.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.counters import (
    NONFINITE,
    SUCCESS,
    add_counters,
    read_counters,
)
from driftgate.gateway.state.crashes import Crash, read_crashes
from driftgate.gateway.state.desired import DesiredModel, DesiredState
from driftgate.gateway.state.integer_blocks import UnreadableBlocks
from driftgate.gateway.state.slots import slot_numbers
from driftgate.gateway.state.status import SlotStatus

COUNT_EVERY_S = 0.1
MOST_LOOKS = 600


class Count(NamedTuple):
    """Answers with status 200, and answers that held NaN or infinity (or were refused for it)."""

    answers: int
    nonfinite: int


@dataclass(frozen=True)
class CountLook:
    """What all slots had counted when `generation` was the newest."""

    generation: int
    counts: Mapping[str, Count]


@dataclass(frozen=True)
class Evidence:
    """One look. `looks` are in order of time; `unloadable_s` is how long no worker has been able to load."""

    crashes: tuple[Crash, ...] = ()
    looks: tuple[CountLook, ...] = ()
    unloadable_s: Mapping[str, float] = field(default_factory=dict)


class EvidenceKeeper:
    """Reads the files of one gateway. Times are monotonic, in seconds."""

    def __init__(self, layout: StateLayout) -> None:
        self._layout = layout
        self._looks: deque[CountLook] = deque(maxlen=MOST_LOOKS)
        self._counted_at = float("-inf")
        self._unloadable: dict[str, float] = {}

    def look(self, desired: DesiredState, slots: tuple[SlotStatus, ...], now: float) -> Evidence:
        """Return what there is against the versions of `desired`; `slots` are the live ones."""
        if not any(map(_has_choice, desired.models.values())):
            self._looks.clear()
            self._unloadable.clear()
            return Evidence()
        if now - self._counted_at >= COUNT_EVERY_S:
            self._counted_at = now
            self._count(desired)
        unloadable = set(unloadable_in(desired, slots))
        self._unloadable = {key: self._unloadable.get(key, now) for key in unloadable}
        lasting = {key: now - since for key, since in self._unloadable.items()}
        return Evidence(read_crashes(self._layout.crashes), tuple(self._looks), lasting)

    def _count(self, desired: DesiredState) -> None:
        """Take a look, and keep it if it shows something new of a version that could be ejected."""
        numbers = slot_numbers(self._layout)
        try:
            total = add_counters(iter([read_counters(self._layout.counters(number)) for number in numbers]))
        except UnreadableBlocks:
            return
        counts = {
            f"{item.model}/{item.version}": Count(item.cells[SUCCESS], item.cells[NONFINITE])
            for item in total
        }
        look = CountLook(desired.generation, counts)
        if (
            not self._looks
            or self._looks[-1].generation != look.generation
            or _news(desired, self._looks[-1], look)
        ):
            self._looks.append(look)


def unloadable_in(desired: DesiredState, slots: tuple[SlotStatus, ...]) -> Iterable[str]:
    """Yield the held versions that every live slot says it cannot load."""
    for name, model in desired.models.items():
        for held in model.held:
            found = [slot.state_of(name, held.digest) for slot in slots]
            if found and all(status is not None and status.state == "UNAVAILABLE" for status in found):
                yield f"{name}/{held.version}"


def _news(desired: DesiredState, before: CountLook, after: CountLook) -> bool:
    """Whether a version beside the stable one has answered since."""
    return any(
        before.counts.get(key) != after.counts.get(key)
        for name, model in desired.models.items()
        for key in (f"{name}/{version}" for version in model.split.versions - {model.split.stable})
    )


def _has_choice(model: DesiredModel) -> bool:
    return len(model.split.versions) > 1 or bool(model.shadows) or model.change is not None
