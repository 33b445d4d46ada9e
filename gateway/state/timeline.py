"""The timeline: what generations and journals of one state directory tell, merged by time; and its proof.

Reads files only, so it can be asked while nothing runs.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.desired import UnreadableState
from driftgate.gateway.state.events import Event, events_between
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.journal import JOURNALS, DamagedJournal, read_journal, verify_journal

MOST_EVENTS = 10_000
CLOCK_SLACK = timedelta(hours=2)
"""How far a clock may have been set back between two entries without hiding what came before."""


@dataclass(frozen=True)
class Wanted:
    """Which events: from `since` on, of one model if it is named, at most the newest `limit`.

    `may_see` is asked with an event's model, "*" where it has none.
    """

    since: datetime
    model: str = ""
    limit: int = MOST_EVENTS
    may_see: Callable[[str], bool] = lambda model: True

    def has(self, event: Event) -> bool:
        """Whether this is one of them, whenever it was."""
        return self.model in ("", event.model) and self.may_see(event.model or "*")


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check of all chains found; `damage` names the first place that is wrong in each, if any."""

    generations: int
    lines: dict[str, int]
    damage: tuple[str, ...] = ()


def events_since(layout: StateLayout, wanted: Wanted) -> list[Event]:
    """Return the events that are wanted, oldest first. What is damaged is left to `verify`."""
    sources = [
        _of_generations(GenerationStore(layout.desired)),
        *(read_journal(layout.events, name) for name in JOURNALS),
    ]
    newest_first = heapq.merge(
        *(_recent(source, wanted) for source in sources),
        key=lambda event: event.at,
        reverse=True,
    )
    since = _text(wanted.since)
    found = (event for event in newest_first if event.at >= since and wanted.has(event))
    oldest_first = reversed(list(islice(found, wanted.limit)))  # so are those of one moment
    return sorted(oldest_first, key=lambda event: event.at)


def verify(layout: StateLayout) -> Verdict:
    """Check the chain of generations and that of every journal."""
    store, lines, damage = GenerationStore(layout.desired), {}, []
    try:
        store.verify_chain()
    except UnreadableState as error:
        damage.append(str(error))
    for name in JOURNALS:
        try:
            lines[name] = verify_journal(layout.events, name)
        except DamagedJournal as error:
            damage.append(f"events/{error}")
    return Verdict(store.newest_number(), lines, tuple(damage))


def _of_generations(store: GenerationStore) -> Iterator[Event]:
    """Yield what generations changed, newest first; one that cannot be read hides its successor too."""
    after = None
    for generation in range(store.newest_number(), -1, -1):
        try:
            before = store.read(generation) if generation else None
        except UnreadableState:
            after = None
            continue
        if after is not None:
            yield from reversed(events_between(before, after))
        after = before


def _recent(events: Iterator[Event], wanted: Wanted) -> Iterator[Event]:
    oldest = _text(wanted.since - CLOCK_SLACK)
    return takewhile(lambda event: event.at >= oldest, events)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
