"""Features in Redis or Valkey: a cache of hot rows, then one pipeline for all that a turn lacks.

Every key is fetched once at a time, however many turns want it; what comes after a turn has given up still
fills the cache. No turn waits while the breaker is open: probes go out in the background.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from driftgate.features.lookup.store import NO_SNAPSHOT, Fetched, Lookup
from driftgate.features.redis.breaker import BreakerState
from driftgate.features.redis.hot_rows import HotRows
from driftgate.features.redis.pipeline import RedisPipeline, RoundTripCounts
from driftgate.features.redis.replies import Reply
from driftgate.features.redis.rows import FoundRow, RedisRows, redis_keys
from driftgate.features.rows.codec import decode_rows
from driftgate.features.rows.layout import Array, RowLayout
from driftgate.features.views.status import Fault
from driftgate.features.views.view import FeatureView

NOTHING_KEPT_S = 1.0
"""How long it is remembered that there is no usable row."""
_LATE = FoundRow(None, fault=Fault.TIMEOUT)
_LOOP_WAS_BUSY_S = 0.002


class RowCache(NamedTuple):
    """How long rows are remembered after they were read, and how much memory they may take in a process."""

    ttl_s: float = 1.0
    max_bytes: int = 64 * 2**20


@dataclass
class LookupCounts:
    """Where the rows that turns wanted came from: the cache, a fetch of their own or another turn's."""

    cached: int = 0
    fetched: int = 0
    joined: int = 0

    def add(self, turn: "_Turn", fetched: int) -> None:
        """Count one turn, before anything has been answered."""
        self.cached += len(turn.rows) - turn.open
        self.fetched += fetched
        self.joined += turn.open - fetched


class _Turn:
    """One call of `fetch` on its way to its end; `rows` are those of all its look-ups, in order."""

    def __init__(self, lookups: Sequence[Lookup], done: Callable[[Sequence[Fetched]], None]) -> None:
        self.rows: list[FoundRow] = []
        self.open = 0
        self._lookups = lookups
        self._done: Callable[[Sequence[Fetched]], None] | None = done
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, loop: asyncio.AbstractEventLoop, budget_s: float) -> None:
        """Give up when the budget is used up."""
        self._timer = loop.call_later(budget_s, self._give_up, loop, loop.time() + budget_s)

    def seat(self, place: int, row: FoundRow) -> bool:
        """Put a row where it belongs; tell whether it was the last one."""
        self.rows[place] = row
        self.open -= 1
        return self.open == 0

    def finish(self) -> None:
        """Answer with what there is; only the first time counts."""
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
        if done is not None:
            done(_answers(self._lookups, self.rows))

    def _give_up(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if loop.time() - due > _LOOP_WAS_BUSY_S:  # the answer may be here and just not have been read
            self._timer = loop.call_later(_LOOP_WAS_BUSY_S / 2, self.finish)
        else:
            self.finish()


class _Seat(NamedTuple):
    """A place in a turn that waits for a row which another turn fetches."""

    turn: _Turn
    place: int


class _Fetch(NamedTuple):
    """What a turn fetches: the rows that nobody fetched before, and where in the turn they belong.

    `names` tells the rows of all views apart, as they are remembered.
    """

    turn: _Turn
    lookups: list[Lookup]
    names: list[bytes]
    places: list[int]


class RedisFeatureStore:
    """A feature store for one event loop; implements FeatureStore."""

    def __init__(
        self,
        pipeline: RedisPipeline,
        rows: RedisRows,
        cache: RowCache,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._rows = rows
        self._cache = cache
        self._clock = clock
        self._hot: HotRows[FoundRow] = HotRows(cache.max_bytes)
        self._flights: dict[bytes, list[_Seat] | None] = {}  # None: nobody else waits for it
        self._closing: asyncio.Task[None] | None = None
        self.counts = LookupCounts()

    @property
    def breaker(self) -> BreakerState:
        """Whether Redis is asked."""
        return self._pipeline.state

    @property
    def round_trips(self) -> RoundTripCounts:
        """What became of the pipelines so far."""
        return self._pipeline.counts

    @property
    def cached_bytes(self) -> int:
        """What the remembered rows take."""
        return self._hot.size_bytes

    def fetch(
        self, lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]
    ) -> None:
        """Answer at once if every row is remembered, else on the event loop; see FeatureStore."""
        turn = _Turn(lookups, done)
        fetch = _Fetch(turn, [], [], [])
        now = self._clock()
        for lookup in lookups:
            self._seat(fetch, lookup, now)
        self.counts.add(turn, len(fetch.names))
        if fetch.names:
            self._pipeline.ask(self._rows.commands(fetch.lookups), partial(self._land, fetch))
        if turn.open == 0 or self._pipeline.state is not BreakerState.CLOSED:
            turn.finish()
        else:
            turn.wait(asyncio.get_running_loop(), budget_s)

    def unavailable(self, view: FeatureView) -> str | None:
        """Return None: that Redis is away keeps no version from answering with what is declared for it."""
        return None

    def trouble(self) -> str:
        """Return why Redis is not asked now; empty if it is."""
        return self._pipeline.trouble

    def close(self) -> None:
        """Break off what is under way; whoever waits is told. The event loop closes the connection."""
        if self._closing is None:
            with suppress(RuntimeError):  # the loop has ended, and the connection with it
                self._closing = asyncio.get_running_loop().create_task(self._pipeline.close())

    async def wait_closed(self) -> None:
        """Close, and wait until the connection is closed."""
        self.close()
        if self._closing is not None:
            await self._closing

    def _seat(self, fetch: _Fetch, lookup: Lookup, now: float) -> None:
        """Give the turn remembered rows, and seats for the others; `fetch` gets those that nobody fetches."""
        turn, hot, flights = fetch.turn, self._hot, self._flights
        cold: list[bytes] = []
        for key, name in zip(lookup.keys, redis_keys(*lookup), strict=True):
            kept = hot.get(name, now)
            if kept is not None:
                turn.rows.append(kept.row)
                continue
            if name in flights:
                joined = flights[name] = flights[name] or []
                joined.append(_Seat(turn, len(turn.rows)))
            else:
                flights[name] = None
                cold.append(key)
                fetch.names.append(name)
                fetch.places.append(len(turn.rows))
            turn.rows.append(_LATE)
            turn.open += 1
        if cold:
            fetch.lookups.append(Lookup(lookup.layout, cold))

    def _land(self, fetch: _Fetch, replies: Sequence[Reply] | None) -> None:
        """Take the answer for rows: remember them, and hand them to whoever waits."""
        if replies is None:
            found = [_LATE] * len(fetch.names)
        else:
            found = self._rows.found(fetch.lookups, replies)
            self._remember(fetch.names, found)
        loop, turn = asyncio.get_running_loop(), fetch.turn
        for name, place, row in zip(fetch.names, fetch.places, found, strict=True):
            turn.rows[place] = row
            for joined, seat in self._flights.pop(name) or ():
                if joined.seat(seat, row):
                    loop.call_soon(joined.finish)
        turn.open -= len(found)
        if turn.open == 0:
            loop.call_soon(turn.finish)

    def _remember(self, names: Sequence[bytes], found: Sequence[FoundRow]) -> None:
        now = self._clock()
        expires_s, nothing_expires_s = now + self._cache.ttl_s, now + min(NOTHING_KEPT_S, self._cache.ttl_s)
        for name, row in zip(names, found, strict=True):
            if row.packed:
                self._hot.put(name, row, len(name) + len(row.packed), expires_s)
            else:
                self._hot.put(name, row, len(name), nothing_expires_s)


def _answers(lookups: Sequence[Lookup], rows: Sequence[FoundRow]) -> list[Fetched]:
    answers, first = [], 0
    for layout, keys in lookups:
        answers.append(_fetched(layout, rows[first : first + len(keys)]))
        first += len(keys)
    return answers


def _fetched(layout: RowLayout, rows: Sequence[FoundRow]) -> Fetched:
    stored = decode_rows(layout, [row.packed for row in rows])
    odd = [(index, row) for index, row in enumerate(rows) if row.fault or row.missing]
    if not odd:
        return Fetched(stored, NO_SNAPSHOT)
    faults = {**stored.faults, **{index: row.fault for index, row in odd if row.fault}}
    late = any(row.fault is Fault.TIMEOUT for _, row in odd)
    return Fetched(stored._replace(faults=faults, missing=_missing(layout, rows)), NO_SNAPSHOT, late)


def _missing(layout: RowLayout, rows: Sequence[FoundRow]) -> Array | None:
    if not any(row.missing for row in rows):
        return None
    missing = np.zeros((len(rows), len(layout.places)), bool)
    for index, row in enumerate(rows):
        missing[index, list(row.missing)] = True
    return missing
