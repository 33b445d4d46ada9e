"""Once per turn: stored features are looked up for every entity of all its requests, and rows are completed.

A store in this process answers before the turn goes on. One that is far away answers later, by a callback:
the requests that need it wait for that, all others are computed meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.errors import InvalidKey
from driftgate.features.layout import RowLayout
from driftgate.features.resolve import Resolved
from driftgate.features.status import FeatureStatus
from driftgate.features.store import FeatureStore, Fetched, Lookup
from driftgate.gateway.errors import BadRequest, FeaturesMissing, FeaturesUnreachable, TooLarge
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_notes import FeatureNotes, Summaries
from driftgate.gateway.serving.feature_plan import FeaturePlan, ViewPlan
from driftgate.gateway.serving.overrides import Rows, override
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.wire.inference import Array

LONGEST_S = 0.05
SHARE_OF_DEADLINE = 0.2
MOST_NAMED = 3

Gathered = Mapping[ServedVersion, list[Exchange]]
Go = Callable[[Gathered], None]


class Asked(NamedTuple):
    """What the requests of one version ask for: `keys[v]` has the key of each row in its view `v`."""

    served: ServedVersion
    plan: FeaturePlan
    exchanges: list[Exchange]
    keys: list[list[bytes]]


class Entities:
    """The entities of one question to the store, each once for every view."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.layouts: dict[str, RowLayout] = {}
        self.places: dict[str, dict[bytes, int]] = {}
        for one in asked:
            for view, keys in zip(one.plan.views, one.keys, strict=True):
                self.layouts[view.bound.view] = view.layout
                places = self.places.setdefault(view.bound.view, {})
                for key in keys:
                    if key not in places:
                        places[key] = len(places)

    @property
    def lookups(self) -> list[Lookup]:
        """What the store is asked."""
        return [Lookup(self.layouts[view], list(places)) for view, places in self.places.items()]

    def rows(self, view: str, keys: list[bytes]) -> Array | None:
        """Return where each of these keys is in the answer, None where they are all of it, in its order."""
        places = self.places[view]
        if len(places) == len(keys) and list(places) == keys:
            return None
        return np.array([places[key] for key in keys], np.intp)


class Enricher:
    """Completes the rows of one worker's turns from `store`; for the event loop's thread alone.

    `clock` gives the time in Unix microseconds, which the age of features is told by.
    """

    def __init__(
        self,
        store: FeatureStore,
        counters: FeatureCounters,
        most_entities: int,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._counters = counters
        self._most_entities = most_entities
        self._clock = clock
        self._summaries = Summaries()

    def enrich(self, gathered: Gathered, go: Go) -> None:
        """Complete the requests of bound versions and hand them to `go`, at once or when the store answers.

        Requests that cannot be completed fail by themselves, with an error that names key, view and feature.
        """
        now_ns = time.perf_counter_ns()
        patient: dict[ServedVersion, list[Exchange]] = {}
        for served, exchanges in gathered.items():
            for exchange in exchanges:
                budget_s = (exchange.deadline_ns - now_ns) * SHARE_OF_DEADLINE / 1e9
                if budget_s >= LONGEST_S:
                    patient.setdefault(served, []).append(exchange)
                else:
                    # Alone: a short deadline must not cost others the answer that they have time for.
                    self._look_up({served: [exchange]}, max(budget_s, 0.0), go)
        if patient:
            self._look_up(patient, LONGEST_S, go)

    def _look_up(self, gathered: Gathered, budget_s: float, go: Go) -> None:
        asked = [self._ask(served, exchanges) for served, exchanges in gathered.items()]
        asked = [one for one in asked if one.exchanges]
        if not asked:
            return
        entities = Entities(asked)
        started_ns = time.perf_counter_ns()

        def done(fetched: Sequence[Fetched]) -> None:
            took_ns = time.perf_counter_ns() - started_ns
            self._counters.fetched(took_ns, any(answer.timed_out for answer in fetched))
            found = dict(zip(entities.places, fetched, strict=True))
            go(self._complete(asked, entities, found))

        self._store.fetch(entities.lookups, budget_s, done)

    def _ask(self, served: ServedVersion, exchanges: list[Exchange]) -> Asked:
        plan = served.features
        assert plan is not None  # noqa: S101 - only bound versions come here
        sendable = [exchange for exchange in exchanges if self._is_small(exchange)]
        try:
            return Asked(served, plan, sendable, [_keys(view, sendable) for view in plan.views])
        except InvalidKey:
            sound = [exchange for exchange in sendable if _has_sound_keys(plan, exchange)]
            return Asked(served, plan, sound, [_keys(view, sound) for view in plan.views])

    def _is_small(self, exchange: Exchange) -> bool:
        if exchange.request.rows <= self._most_entities:
            return True
        exchange.fail(
            TooLarge(
                f"the request has {exchange.request.rows} rows whose features are to be looked up; "
                f"it may have {self._most_entities}"
            )
        )
        return False

    def _complete(
        self, asked: Sequence[Asked], entities: Entities, fetched: Mapping[str, Fetched]
    ) -> dict[ServedVersion, list[Exchange]]:
        now_us = self._clock()
        resolvers = {view.bound.view: view.resolver for one in asked for view in one.plan.views}
        resolved = {name: resolvers[name].resolve(answer.stored, now_us) for name, answer in fetched.items()}
        for name, found in resolved.items():
            self._counters.resolved(found, fetched[name].snapshot)
        return {one.served: self._complete_one(one, entities, fetched, resolved) for one in asked}

    def _complete_one(
        self,
        asked: Asked,
        entities: Entities,
        fetched: Mapping[str, Fetched],
        resolved: Mapping[str, Resolved],
    ) -> list[Exchange]:
        plan, exchanges = asked.plan, asked.exchanges
        names = [view.bound.view for view in plan.views]
        found = [resolved[name] for name in names]
        places = [entities.rows(name, keys) for name, keys in zip(names, asked.keys, strict=True)]
        count = len(asked.keys[0])
        fresh = all(one.is_fresh for one in found)
        rows = Rows(
            plan.assemble(_sent(plan, exchanges), count, found, places),
            np.zeros((count, len(plan.names)), np.uint8) if fresh else plan.statuses(found, places),
            None if fresh else plan.refusals(found, places),
        )
        if plan.overrides:
            override(plan, rows, exchanges, list(zip(found, places, strict=True)), self._counters)
            fresh = fresh and not np.count_nonzero(rows.status)
        snapshots = tuple((name, fetched[name].snapshot) for name in names)
        ready = []
        first = 0
        for exchange in exchanges:
            last = first + exchange.request.rows
            if rows.refused is not None and np.count_nonzero(rows.refused[first:last]):
                exchange.fail(_refusal(plan, rows, first, last))
            else:
                status = rows.status[first:last]
                summary = (
                    self._summaries.all_fresh(status.size, snapshots)
                    if fresh
                    else self._summaries.mixed(status, snapshots)
                )
                key = asked.keys[0][first] if last == first + 1 else b""
                exchange.features = FeatureNotes(summary, status, snapshots, key)
                exchange.request.inputs = {name: array[first:last] for name, array in rows.inputs.items()}
                ready.append(exchange)
            first = last
        return ready


def _sent(plan: FeaturePlan, exchanges: Sequence[Exchange]) -> Mapping[str, Array]:
    """Return what the requests sent of the model's inputs, all rows together."""
    if len(exchanges) == 1:
        return exchanges[0].request.inputs
    inputs = [exchange.request.inputs for exchange in exchanges]
    return {name: np.concatenate([one[name] for one in inputs]) for name in plan.sent}


def _keys(view: ViewPlan, exchanges: Sequence[Exchange]) -> list[bytes]:
    """Return the key of every row; raise InvalidKey for one that cannot be."""
    encode = view.codec.encode
    if len(view.key) == 1:
        ((name, element),) = view.key
        return [
            encode((value,))
            for exchange in exchanges
            for value in _values(exchange.request.inputs[name], element)
        ]
    return [
        encode(values)
        for exchange in exchanges
        for values in zip(
            *(_values(exchange.request.inputs[name], element) for name, element in view.key), strict=True
        )
    ]


def _values(array: Array, element: int) -> list[str | int]:
    if array.size == 1:
        return [array.item()]
    values: list[str | int] = array.reshape(len(array), -1)[:, element].tolist()
    return values


def _has_sound_keys(plan: FeaturePlan, exchange: Exchange) -> bool:
    """Whether every key of a request can be one; it fails by itself if not, with the row that is to blame."""
    for view in plan.views:
        columns = [_values(exchange.request.inputs[part.input], part.element) for part in view.key]
        for number, values in enumerate(zip(*columns, strict=True)):
            try:
                view.codec.encode(values)
            except InvalidKey as error:
                exchange.fail(BadRequest(f"row {number}, features of view {view.bound.view!r}: {error}"))
                return False
    return True


def _refusal(plan: FeaturePlan, rows: Rows, first: int, last: int) -> FeaturesMissing | FeaturesUnreachable:
    """Return the error of a request that lacks what its view's policy asks for."""
    assert rows.refused is not None  # noqa: S101 - the caller has found cells in it
    cells = np.argwhere(rows.refused[first:last])
    named = []
    for row, feature in cells[:MOST_NAMED].tolist():
        status = FeatureStatus(int(rows.status[first + row, feature]))
        named.append(f"{plan.names[feature]} of key {row} is {status.name}")
    more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
    text = f"features are missing that the model cannot do without: {', '.join(named)}{more}"
    statuses = rows.status[first:last][rows.refused[first:last]]
    if (statuses == FeatureStatus.TIMEOUT).all():
        return FeaturesUnreachable(f"{text}; the feature store did not answer in time, try again shortly")
    return FeaturesMissing(text)
