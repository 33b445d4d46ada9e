"""Makes references of traffic in the monitor: those asked for, and one of a bare model's first day."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from driftgate.gateway.state.desired import DesiredState
from driftgate.monitoring.cells import CategoricalCells
from driftgate.monitoring.follower import Follower
from driftgate.monitoring.log_query import Places, RecordsMoved
from driftgate.monitoring.record_filter import RecordFilter
from driftgate.monitoring.reference import ReferenceProfile, encode_profile
from driftgate.monitoring.reference_book import Reference
from driftgate.monitoring.traffic_reference import ANSWERED, traffic_profile

LOOK_EVERY_US = 2_000_000
RETRY_EVERY_US = 600_000_000
FIRST_DAY_US = 86_400_000_000
LEAST_ROWS = 1000
"""Of a first day, on which to build a reference that nobody asked for."""


class Wanted(NamedTuple):
    """A reference that is to be made, of so many rows at least."""

    model: str
    version: int
    first_us: int
    end_us: int
    least_rows: int = 1


def wanted_references(
    state: DesiredState | None,
    known: Iterable[Reference],
    first_seen_us: Mapping[tuple[str, int], int],
    now_us: int,
) -> list[Wanted]:
    """Return what is asked for and not there, and for what versions without one there is a day of traffic."""
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
        bare = reference.profile.source == "none" and key not in asked_for
        if bare and now_us >= first_us + FIRST_DAY_US:
            found.append(Wanted(*key, first_us, first_us + FIRST_DAY_US, LEAST_ROWS))
    return found


class ReferenceMaker:
    """Looks every few seconds whether a reference is wanted; what could not be made is tried again later."""

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
        self._tried: dict[Wanted, int] = {}

    def step(self, now_us: int) -> None:
        """Make the next reference that is wanted, if it is time to look."""
        if now_us < self._looked_at_us + LOOK_EVERY_US:
            return
        self._looked_at_us = now_us
        windows = self._follower.windows
        first_seen: Mapping[tuple[str, int], int] = {}
        if now_us >= self._looked_for_bare_us + RETRY_EVERY_US:
            self._looked_for_bare_us = now_us
            first_seen = windows.first_seen()
        for wanted in wanted_references(self._state(), windows.references(), first_seen, now_us):
            if now_us >= self._tried.get(wanted, 0) + RETRY_EVERY_US:
                self._tried[wanted] = now_us
                self._make(wanted)
                return

    def _make(self, wanted: Wanted) -> None:
        windows = self._follower.windows
        old = windows.reference_of(wanted.model, wanted.version)
        records = RecordFilter(
            model=wanted.model,
            version=wanted.version,
            code=ANSWERED,
            since_us=wanted.first_us,
            until_us=wanted.end_us,
        )
        try:
            profile = traffic_profile(self._places, records, null_texts(old) if old is not None else {})
        except (RecordsMoved, OSError, sqlite3.Error) as error:
            self._note(f"the reference of {wanted.model} version {wanted.version} cannot be made: {error}")
            return
        if profile is None or profile.rows < wanted.least_rows:
            rows = profile.rows if profile is not None else 0
            self._note(
                f"the reference of {wanted.model} version {wanted.version} is not made: its window has "
                f"{rows} answered rows with inputs, {wanted.least_rows} are needed"
            )
            return
        windows.put_in_force(wanted.model, wanted.version, encode_profile(profile))


def null_texts(profile: ReferenceProfile) -> dict[str, str]:
    """Return the texts that stand for null, by column."""
    return {
        one.column: one.cells.null_text for one in profile.features if isinstance(one.cells, CategoricalCells)
    }
