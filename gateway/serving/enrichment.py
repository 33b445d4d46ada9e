"""Once per turn: stored features are looked up for every entity of all its requests, and rows are completed.

A store in this process answers before the turn goes on. One that is far away answers later, by a callback:
the requests that need it wait for that, all others are computed meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.lookup.resolve import Resolved
from driftgate.features.lookup.store import FeatureStore, Fetched
from driftgate.features.redis.store import RedisFeatureStore
from driftgate.features.views.status import FeatureStatus
from driftgate.gateway.errors import FeaturesMissing, FeaturesUnreachable
from driftgate.gateway.serving.entities import Asked, Entities, asked_of
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_notes import CompletedRows, FeatureNotes, Summaries
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.serving.overrides import Rows, override
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.wire.inference import Array

LONGEST_S = 0.05
SHARE_OF_DEADLINE = 0.2
PATIENT_NS = int(LONGEST_S / SHARE_OF_DEADLINE * 1e9)
MOST_NAMED = 3

Gathered = Mapping[ServedVersion, list[Exchange]]
Go = Callable[[Gathered], None]
Answers = Mapping[str, tuple[Resolved, int]]
"""By view: what was resolved, and the number of the snapshot that it is of."""


class Enricher:
    """Completes the rows of one worker's turns from `store`; for the event loop's thread alone.

    `clock` gives the time in Unix nanoseconds, by which the age of features is told.
    """

    def __init__(
        self,
        store: FeatureStore,
        counters: FeatureCounters,
        most_entities: int,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._embedded = store if isinstance(store, LmdbFeatureStore) else None
        self._redis = store if isinstance(store, RedisFeatureStore) else None
        self._counters = counters
        self._most_entities = most_entities
        self._clock = clock
        self._summaries = Summaries()

    def enrich(self, gathered: Gathered, go: Go) -> None:
        """Complete the requests of bound versions and hand them to `go`, at once or when the store answers.

        Requests that cannot be completed fail by themselves, with an error that names key, view and feature.
        """
        if self._embedded is not None:  # it answers at once, so no deadline is too short
            self._look_up(gathered, LONGEST_S, go)
            return
        now_ns = time.perf_counter_ns()
        patient_until_ns = now_ns + PATIENT_NS
        patient: dict[ServedVersion, list[Exchange]] = {}
        for served, exchanges in gathered.items():
            hurried = [exchange for exchange in exchanges if exchange.deadline_ns < patient_until_ns]
            for exchange in hurried:
                # Alone: a short deadline must not cost others the answer that they have time for.
                budget_s = (exchange.deadline_ns - now_ns) * SHARE_OF_DEADLINE / 1e9
                self._look_up({served: [exchange]}, max(budget_s, 0.0), go)
            if len(hurried) < len(exchanges):
                patient[served] = [one for one in exchanges if one not in hurried] if hurried else exchanges
        if patient:
            self._look_up(patient, LONGEST_S, go)

    def _look_up(self, gathered: Gathered, budget_s: float, go: Go) -> None:
        asked = [
            asked_of(served, served.features, exchanges, self._most_entities)
            for served, exchanges in gathered.items()
            if served.features is not None
        ]
        if self._embedded is not None and len(asked) == 1 and self._complete_fresh(self._embedded, asked[0]):
            go({asked[0].served: asked[0].exchanges})
            return
        entities = Entities(asked)
        lookups = list(entities.wanted.values())
        if not any([lookup.keys for lookup in lookups]):
            return
        started_ns = time.perf_counter_ns()

        def done(fetched: Sequence[Fetched]) -> None:
            if self._redis is not None:
                self._counters.remote(self._redis)
            timed_out = any([answer.timed_out for answer in fetched])
            self._counters.fetched(time.perf_counter_ns() - started_ns, timed_out)
            answers = self._resolve(entities, fetched)
            go({one.served: self._complete(one, entities, answers) for one in asked})

        self._store.fetch(lookups, budget_s, done)

    def _complete_fresh(self, store: LmdbFeatureStore, asked: Asked) -> bool:
        """Complete what most turns have, with fewer steps: no entity twice, and everything of them fresh.

        False: nothing was done or counted, and it has to go the general way, which would do the same.
        """
        plan = asked.plan
        if plan.overrides or plan.reads_twice or any([len(set(keys)) < len(keys) for keys in asked.keys]):
            return False
        started_ns, now_us = time.perf_counter_ns(), self._clock() // 1000
        found, snapshots = [], []
        for view, keys in zip(plan.views, asked.keys, strict=True):
            packed, snapshot = store.packed(view.name, keys)
            rows = view.resolver.fresh(packed, now_us)
            if rows is None:
                return False
            found.append(rows)
            snapshots.append((view.name, snapshot))
        counters, count = self._counters, len(asked.keys[0])
        counters.fetched(time.perf_counter_ns() - started_ns, False)
        for view, rows, (name, snapshot) in zip(plan.views, found, snapshots, strict=True):
            counters.fresh(name, snapshot, rows.times_us, count * view.resolver.features, now_us)
        places = [None] * len(found)
        completed = CompletedRows(
            plan.assemble(_sent(plan, asked.exchanges), count, found, places),
            np.zeros((count, len(plan.names)), np.uint8),
            plan.event_times(found, places),
            tuple(snapshots),
        )
        self._hand_out_fresh(asked, completed)
        return True

    def _resolve(self, entities: Entities, fetched: Sequence[Fetched]) -> Answers:
        now_us = self._clock() // 1000
        answers: dict[str, tuple[Resolved, int]] = {}
        for (name, resolver), answer in zip(entities.resolvers.items(), fetched, strict=True):
            found = resolver.resolve(answer.stored, now_us)
            answers[name] = found, answer.snapshot
            self._counters.resolved(found, answer.snapshot)
        return answers

    def _complete(self, asked: Asked, entities: Entities, answers: Answers) -> list[Exchange]:
        plan, exchanges = asked.plan, asked.exchanges
        found, places = [], []
        snapshots: dict[str, int] = {}
        for view, keys in zip(plan.views, asked.keys, strict=True):
            name = view.name
            resolved, snapshot = answers[name]
            found.append(resolved)
            snapshots[name] = snapshot
            places.append(entities.rows(name, keys))
        count = len(asked.keys[0])
        fresh = all([one.is_fresh for one in found])
        inputs = plan.assemble(_sent(plan, exchanges), count, found, places)
        if any([one.absent is not None for one in found]):
            plan.put_gaps(inputs, found, places)
        rows = Rows(
            inputs,
            np.zeros((count, len(plan.names)), np.uint8) if fresh else plan.statuses(found, places),
            None if fresh else plan.refusals(found, places),
        )
        if plan.overrides:
            override(plan, rows, exchanges, list(zip(found, places, strict=True)), self._counters.skew)
            fresh = fresh and not np.count_nonzero(rows.status)
        times = plan.event_times(found, places)
        completed = CompletedRows(rows.inputs, rows.status, times, tuple(snapshots.items()))
        if fresh:
            return self._hand_out_fresh(asked, completed)
        return self._hand_out(asked, completed, rows.refused)

    def _hand_out_fresh(self, asked: Asked, completed: CompletedRows) -> list[Exchange]:
        """Give every request its rows, in which every feature is fresh."""
        keys, width, snapshots = asked.keys[0], completed.status.shape[1], completed.snapshots
        one_row = self._summaries.all_fresh(width, snapshots)
        first = 0
        for exchange in asked.exchanges:
            rows = exchange.request.rows
            if rows == 1:
                exchange.features = FeatureNotes(completed, first, one_row, keys[first])
            else:
                fields = self._summaries.all_fresh(rows * width, snapshots)
                exchange.features = FeatureNotes(completed, first, fields, b"")
            first += rows
        return asked.exchanges

    def _hand_out(self, asked: Asked, completed: CompletedRows, refused: Array | None) -> list[Exchange]:
        """Give every request its rows; return those that may be computed."""
        ready, last = [], 0
        keys = asked.keys[0]
        for exchange in asked.exchanges:
            first, last = last, last + exchange.request.rows
            status = completed.status[first:last]
            if refused is not None and np.count_nonzero(refused[first:last]):
                exchange.fail(_refusal(asked.plan, status, refused[first:last]))
                continue
            fields = self._summaries.mixed(status, completed.snapshots)
            key = keys[first] if last - first == 1 else b""
            exchange.features = FeatureNotes(completed, first, fields, key)
            ready.append(exchange)
        return ready


def _sent(plan: FeaturePlan, exchanges: Sequence[Exchange]) -> Mapping[str, Array]:
    """Return what the requests sent of the model's inputs, all rows together."""
    if len(exchanges) == 1:
        return exchanges[0].request.inputs
    inputs = [exchange.request.inputs for exchange in exchanges]
    return {name: np.concatenate([one[name] for one in inputs]) for name in plan.sent}


def _refusal(plan: FeaturePlan, status: Array, refused: Array) -> FeaturesMissing | FeaturesUnreachable:
    """Return the error of a request that lacks what its views' policies ask for."""
    cells = np.argwhere(refused)
    named = [
        f"{plan.names[feature]} of row {row} is {FeatureStatus(int(status[row, feature])).name}"
        for row, feature in cells[:MOST_NAMED].tolist()
    ]
    more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
    text = f"features are missing that the model cannot do without: {', '.join(named)}{more}"
    if (status[refused] == FeatureStatus.TIMEOUT).all():
        return FeaturesUnreachable(f"{text}; the feature store did not answer in time, try again shortly")
    return FeaturesMissing(text)
