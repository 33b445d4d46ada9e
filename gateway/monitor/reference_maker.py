"""Makes references of traffic in the monitor: those asked for, one of a bare model's first day, and what
training rows cannot have: latency, and the age of stored features."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from driftgate.gateway.state.desired import DesiredState
from driftgate.monitoring.archive.record_filter import RecordFilter
from driftgate.monitoring.book.completed_reference import CompletedReference
from driftgate.monitoring.book.follower import Follower
from driftgate.monitoring.book.log_query import Places, RecordsMoved
from driftgate.monitoring.book.traffic_reference import ANSWERED, TrafficSample
from driftgate.monitoring.book.windows import WATCHED_PURPOSES
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.completion import lacks_traffic
from driftgate.monitoring.reference.profile import ReferenceProfile, encode_profile
from driftgate.monitoring.windows.pane_codec import InvalidPane

LOOK_EVERY_US = 2_000_000
RETRY_EVERY_US = 600_000_000
MOVED_AGAIN_US = 10_000_000
"""Files of the archive that were merged meanwhile are there at once under other names."""
FIRST_DAY_US = 86_400_000_000
LEAST_ROWS = 1000
"""Of first days, on which to build a reference that nobody asked for."""
MOST_DAYS = 7
"""Of which training rows are completed, where the first one has too few rows."""


class Wanted(NamedTuple):
    """A reference that is to be made, of so many rows at least, or the one in force to be completed."""

    model: str
    version: int
    first_us: int
    end_us: int
    least_rows: int = 1
    completes: bool = False


def wanted_references(
    state: DesiredState | None,
    known: Iterable[Reference],
    first_seen_us: Mapping[tuple[str, int], int],
    now_us: int,
) -> list[Wanted]:
    """Return what is asked for and not there, and for what versions without one there is a day of traffic.

    So it is with those whose reference lacks what only traffic has; their days are looked at until they do.
    """
    newest = {(one.model, one.version): one for one in known}
    found = []
    for name, model in (state.models if state is not None else {}).items():
        asked = model.reference
        if asked is not None and (name, asked.version) in newest:
            profile = newest[name, asked.version].profile
            if (profile.first_us, profile.last_us) != (asked.first_us, asked.end_us):
                found.append(Wanted(name, asked.version, asked.first_us, asked.end_us))
    asked_for = {(one.model, one.version) for one in found}
    for key, reference in newest.items():
        first_us = first_seen_us.get(key, now_us)
        days = (now_us - first_us) // FIRST_DAY_US
        if not days or key in asked_for:
            continue
        if reference.profile.source == "none":
            found.append(Wanted(*key, first_us, first_us + FIRST_DAY_US, LEAST_ROWS))
        elif lacks_traffic(reference.profile):
            end_us = first_us + min(days, MOST_DAYS) * FIRST_DAY_US
            found.append(Wanted(*key, first_us, end_us, LEAST_ROWS, completes=True))
    return found


class ReferenceMaker:
    """Looks every few seconds whether a reference is wanted; what could not be made is tried again later.

    One chunk of records is read a step, so that windows do not wait.
    """

    def __init__(
        self,
        follower: Follower,
        places: Places,
        state: Callable[[], DesiredState | None],
        note: Callable[[str], None],
    ) -> None:
        self._follower = follower
        self._places = places
        self._state = state
        self._note = note
        self._looked_at_us = self._looked_for_bare_us = 0
        self._again_at_us: dict[Wanted, int] = {}
        self._making: tuple[Wanted, TrafficSample | CompletedReference] | None = None

    def step(self, now_us: int) -> None:
        """Go on with the reference that is being made; else make the next one, if it is time to look."""
        if self._making is not None:
            self._go_on(*self._making, now_us)
        elif now_us >= self._looked_at_us + LOOK_EVERY_US:
            self._looked_at_us = now_us
            self._look(now_us)

    def _look(self, now_us: int) -> None:
        windows = self._follower.windows
        first_seen: Mapping[tuple[str, int], int] = {}
        if now_us >= self._looked_for_bare_us + RETRY_EVERY_US:
            self._looked_for_bare_us = now_us
            first_seen = windows.first_seen()
        for wanted in wanted_references(self._state(), windows.references(), first_seen, now_us):
            if now_us >= self._again_at_us.get(wanted, 0):
                self._again_at_us[wanted] = now_us + RETRY_EVERY_US
                self._making = wanted, self._sample(wanted)
                return

    def _sample(self, wanted: Wanted) -> TrafficSample | CompletedReference:
        windows = self._follower.windows
        if wanted.completes:
            newest = {(one.model, one.version): one for one in windows.references()}
            reference = newest[wanted.model, wanted.version]
            return windows.completion_of(reference, wanted.first_us, wanted.end_us)
        records = RecordFilter(
            model=wanted.model,
            version=wanted.version,
            code=ANSWERED,
            since_us=wanted.first_us,
            until_us=wanted.end_us,
            purposes=WATCHED_PURPOSES,
        )
        old = windows.reference_of(wanted.model, wanted.version)
        return TrafficSample(self._places, records, old)

    def _go_on(self, wanted: Wanted, sample: TrafficSample | CompletedReference, now_us: int) -> None:
        try:
            if sample.step():
                return
        except (RecordsMoved, InvalidPane, OSError, sqlite3.Error) as error:
            if isinstance(error, RecordsMoved):
                self._again_at_us[wanted] = now_us + MOVED_AGAIN_US
            self._note(f"the reference of {wanted.model} version {wanted.version} cannot be made: {error}")
            self._making = None
            return
        self._making = None
        if isinstance(sample, TrafficSample):
            self._finish(wanted, sample.get())
        elif sample.rows >= wanted.least_rows:
            self._put_in_force(wanted, sample.get())

    def _finish(self, wanted: Wanted, profile: ReferenceProfile | None) -> None:
        if profile is None or profile.rows < wanted.least_rows:
            rows = profile.rows if profile is not None else 0
            self._note(
                f"the reference of {wanted.model} version {wanted.version} is not made: its window has "
                f"{rows} answered rows with inputs, {wanted.least_rows} are needed"
            )
            return
        self._put_in_force(wanted, profile)

    def _put_in_force(self, wanted: Wanted, profile: ReferenceProfile) -> None:
        self._follower.windows.put_in_force(wanted.model, wanted.version, encode_profile(profile))
