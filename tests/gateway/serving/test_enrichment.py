"""Rows that stored features complete, against a plain look-up in a data frame."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.lookup.memory_store import MemoryFeatureStore
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.errors import BadRequest, FeaturesMissing, FeaturesUnreachable, TooLarge
from driftgate.gateway.serving.batch import completed_together, whole
from driftgate.gateway.serving.enrichment import LONGEST_S, Enricher
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.state.skew_counters import read_skew
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.models.schema.bind import bind
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import TensorSpec
from driftgate.models.schema.stated_binding import stated_binding

from harness.features import entity_rows
from harness.manifests import paper_manifest

PEOPLE = FeatureView(
    "people",
    (JoinKey("user"),),
    (
        Feature("age", "float32", on_missing="default", default=-1.0),
        Feature("visits", "int64", on_missing="default", default=7),
        Feature("city", "string", on_missing="null", on_stale="null"),
        Feature("taste", "float32", length=2, on_missing="null"),
    ),
    ttl_s=3600.0,
)
SHOPS = FeatureView(
    "shops",
    (JoinKey("shop", "int64"), JoinKey("floor", "int64")),
    (Feature("size", "float64", on_missing="error"),),
)
BINDING: dict[str, Any] = {
    "views": [
        {
            "view": "people",
            "keys": {"user": "user"},
            "features": {"age": "age", "visits": "visits", "city": "city", "taste": ["t0", "t1"]},
            "overridable": ["age", "city"],
        },
        {"view": "shops", "keys": {"shop": "shop", "floor": "hour"}, "features": {"size": "size"}},
    ],
    "keys": {"shop": {"type": "int64"}, "hour": {"type": "int64"}},
}
MATRIX = ("a", "t0", "age", "b", "t1", "size", "visits")
USERS = ("ann", "bob", "cat")
KNOWN = pd.DataFrame(
    {
        "age": [10.0, 20.0, None],
        "visits": [1, None, 3],
        "city": ["Ulm", None, "Bonn"],
        "t0": [0.5, 1.5, None],
        "t1": [0.25, 1.25, None],
    },
    index=list(USERS),
)
SIZES = {(1, 0): 100.0, (1, 1): 110.0, (2, 0): 200.0}


def manifest(per_column: bool) -> Manifest:
    """A version with one matrix and two more inputs, or with an input for every column."""
    columns = [
        Column(name, name if per_column else "x", "FP32", None if per_column else place, missing=True)
        for place, name in enumerate(MATRIX)
    ]
    columns += [
        Column("hour", "hour", "INT64"),
        Column("city", "city", "BYTES", missing=True, missing_token="?"),  # noqa: S106 - a word
    ]
    inputs = [TensorSpec("x", "FP32", (-1, len(MATRIX)))]
    if per_column:
        inputs = [TensorSpec(name, "FP32", (-1, 1)) for name in MATRIX]
    inputs += [TensorSpec("hour", "INT64", (-1,)), TensorSpec("city", "BYTES", (-1, 1))]
    plain = paper_manifest(inputs=tuple(inputs), columns=tuple(columns))
    found = stated_binding(BINDING)
    assert found is not None
    return bind(found, plain, {"people": PEOPLE, "shops": SHOPS})


def store() -> MemoryFeatureStore:
    """What is known, an hour fresh."""
    made = MemoryFeatureStore()
    columns: dict[str, list[Any]] = {
        str(name): KNOWN[name].astype(object).where(KNOWN[name].notna(), None).tolist() for name in KNOWN
    }
    taste = [None if t0 is None else (t0, t1) for t0, t1 in zip(columns["t0"], columns["t1"], strict=True)]
    rows = entity_rows(PEOPLE, [(user,) for user in USERS], {**columns, "taste": taste})
    made.put(PEOPLE, rows)
    made.put(SHOPS, entity_rows(SHOPS, list(SIZES), {"size": list(SIZES.values())}))
    return made


@dataclass(eq=False)
class Served:
    """As much of a served version as completing rows needs."""

    features: FeaturePlan
    rows_waiting: int = 0
    rows_at_once: int = 1


@dataclass
class Later:
    """A store that answers when it is told to; `budgets` are those it was asked with."""

    inner: MemoryFeatureStore
    waiting: list[Callable[[], None]] = field(default_factory=list)
    budgets: list[float] = field(default_factory=list)

    def fetch(
        self, lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]
    ) -> None:
        self.budgets.append(budget_s)
        self.waiting.append(lambda: self.inner.fetch(lookups, budget_s, done))

    def trouble(self) -> str:
        """There is none."""
        return ""

    def unavailable(self, view: FeatureView) -> str | None:
        return None

    def close(self) -> None:
        pass


def exchange_of(
    served: Served, rows: Sequence[tuple[str, int, int]], per_column: bool, **more: Array
) -> Exchange:
    """A request for rows (user, shop, hour)."""
    count = len(rows)
    sent: dict[str, Array] = {
        "x": np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        "hour": np.array([hour for _, _, hour in rows], np.int64),
        "user": np.array([[user] for user, _, _ in rows], object),
        "shop": np.array([[shop] for _, shop, _ in rows], np.int64),
        **more,
    }
    if per_column:
        sent |= {"a": sent["x"][:, :1], "b": sent.pop("x")[:, 1:]}
    made = Exchange("/")
    made.served = served  # type: ignore[assignment] # as much of one as is needed
    made.request = InferenceRequest(sent, count)
    made.deadline_ns = time.perf_counter_ns() + 10**10
    made.on_settled = lambda exchange: None
    return made


def served_version(per_column: bool) -> Served:
    layouts = {"people": RowLayout.of(PEOPLE), "shops": RowLayout.of(SHOPS)}
    return Served(FeaturePlan.of(manifest(per_column), layouts))


def enricher(path: Path, source: Any = None, most: int = 1000) -> Enricher:
    return Enricher(source or store(), FeatureCounters(path / "counts"), most)


def enriched(made: Enricher, served: Served, exchanges: list[Exchange]) -> list[Exchange]:
    ready: list[Exchange] = []
    made.enrich({served: exchanges}, lambda gathered: ready.extend(*gathered.values()))  # type: ignore[dict-item] # as above
    return ready


def wanted(user: str, shop: int, hour: int) -> dict[str, Any]:
    """What the data frame has for a row, with the defaults of the view."""
    found = KNOWN.loc[user] if user in KNOWN.index else pd.Series(dict.fromkeys(KNOWN.columns))
    return {
        "age": -1.0 if pd.isna(found["age"]) else found["age"],
        "visits": 7 if pd.isna(found["visits"]) else found["visits"],
        "city": "?" if pd.isna(found["city"]) else found["city"],
        "t0": found["t0"],
        "t1": found["t1"],
        "size": SIZES[shop, hour],
    }


ROW = st.tuples(st.sampled_from([*USERS, "dan"]), st.integers(0, 3), st.integers(0, 1))
REQUESTS = st.lists(st.lists(ROW, min_size=1, max_size=5), min_size=1, max_size=5)


@pytest.mark.parametrize("per_column", [False, True])
@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS)
def test_rows_are_those_of_a_plain_look_up(
    per_column: bool, requests: list[list[tuple[str, int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever requests come together, each row gets its entity's values, in its columns, or is refused."""
    served = served_version(per_column)
    exchanges = [exchange_of(served, rows, per_column) for rows in requests]
    ready = enriched(enricher(tmp_path_factory.getbasetemp()), served, exchanges)
    for exchange, rows in zip(exchanges, requests, strict=True):
        known = all((shop, hour) in SIZES for _, shop, hour in rows)
        assert (exchange in ready) == known
        if not known:
            assert isinstance(exchange.error, FeaturesMissing)
            continue
        inputs = whole(exchange).feeds
        for place, row in enumerate(rows):
            for name, value in wanted(*row).items():
                if name == "city":
                    found = inputs["city"][place, 0]
                else:
                    found = inputs[name][place, 0] if per_column else inputs["x"][place, MATRIX.index(name)]
                assert found == value or (pd.isna(value) and np.isnan(found))
            sent = (
                [inputs["a"][place, 0], inputs["b"][place, 0]] if per_column else inputs["x"][place, [0, 3]]
            )
            assert list(sent) == [2 * place, 2 * place + 1]
            assert inputs["hour"][place] == row[2]


def test_requests_share_one_question(tmp_path: Path) -> None:
    """All requests of a turn are one question, which names every entity once."""
    asked: list[Sequence[Lookup]] = []
    made = store()
    fetch = made.fetch

    def noting(lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]) -> None:
        asked.append(lookups)
        fetch(lookups, budget_s, done)

    source = Later(made)
    source.fetch = noting  # type: ignore[method-assign] # a store that notes what it is asked
    served = served_version(False)
    exchanges = [exchange_of(served, [("ann", 1, 0), ("bob", 1, 0)], False) for _ in range(3)]
    ready = enriched(enricher(tmp_path, source), served, exchanges)
    assert ready == exchanges
    (lookups,) = asked
    assert [len(lookup.keys) for lookup in lookups] == [2, 1]
    rows = completed_together([whole(exchange) for exchange in ready])
    assert rows is not None
    assert len(rows.status) == 6


def test_what_is_sent_counts_in_place_of_what_is_stored(tmp_path: Path) -> None:
    """Overridable values that are sent are used and marked; NaN and empty texts are looked up."""
    served = served_version(False)
    exchange = exchange_of(
        served,
        [("ann", 1, 0), ("ann", 1, 0)],
        False,
        age=np.array([[33.0], [np.nan]], np.float32),
        city=np.array([[""], ["Rom"]], object),
    )
    other = exchange_of(served, [("bob", 1, 0)], False)
    assert enriched(enricher(tmp_path), served, [exchange, other]) == [exchange, other]
    assert whole(exchange).feeds["x"][:, MATRIX.index("age")].tolist() == [33.0, 10.0]
    assert whole(exchange).feeds["city"].ravel().tolist() == ["Ulm", "Rom"]
    assert exchange.features is not None
    assert exchange.features.rows.status[0:2][:, :3].tolist() == [[6, 0, 0], [0, 0, 6]]
    assert b"sent=2" in exchange.features.fields
    assert whole(other).feeds["x"][:, MATRIX.index("age")].tolist() == [20.0]


def skew_counts(path: Path, feature: str) -> list[int]:
    """What was counted of a feature: compared, mismatched, stale, missing, extra."""
    made = manifest(False)
    found = {
        key[2:]: skew for key, skew in read_skew([path]).items() if key[:2] == (made.name, str(made.version))
    }
    return list(msgspec.structs.astuple(found["people", feature]))


def test_skew_is_of_requests_that_send_the_column(tmp_path: Path) -> None:
    """Whoever shares a turn changes nothing; what a default stands for is not compared."""
    served = served_version(False)
    users = ("ann", "bob", "ann", "dan", "cat")
    age = np.array([[33.0], [20.0], [np.nan], [1.0], [1.0]], np.float32)
    sender = exchange_of(served, [(user, 1, 0) for user in users], False, age=age)
    silent = exchange_of(served, [("ann", 1, 0)], False, age=np.full((1, 1), np.nan, np.float32))
    other = exchange_of(served, [("bob", 1, 0)], False)
    assert len(enriched(enricher(tmp_path), served, [other, sender, silent])) == 3
    assert skew_counts(tmp_path, "age") == [2, 1, 0, 1, 1]


def test_a_stale_value_is_compared_where_the_policy_keeps_it(tmp_path: Path) -> None:
    """A value that a policy has replaced is not known any more, so it is no mismatch."""
    served = served_version(False)
    sent = {"age": np.array([[10.0]], np.float32), "city": np.array([["Ulm"]], object)}
    later = Enricher(store(), FeatureCounters(tmp_path / "counts"), 10, lambda: time.time_ns() + 7200 * 10**9)
    assert len(enriched(later, served, [exchange_of(served, [("ann", 1, 0)], False, **sent)])) == 1
    assert skew_counts(tmp_path, "age") == [1, 0, 1, 0, 0]
    assert skew_counts(tmp_path, "city") == [0, 0, 0, 0, 0]


def test_a_slow_store_holds_up_nobody_else(tmp_path: Path) -> None:
    """A store that answers later blocks nothing; a short deadline has a question of its own."""
    source = Later(store())
    served = served_version(False)
    patient, hurried = (exchange_of(served, [("ann", 1, 0)], False) for _ in range(2))
    hurried.deadline_ns = time.perf_counter_ns() + 10**8
    ready = enriched(enricher(tmp_path, source), served, [patient, hurried])
    assert ready == []
    short, long = source.budgets
    assert long == LONGEST_S
    assert 0 < short <= 0.02


def test_a_store_that_does_not_answer_costs_only_who_needs_it(tmp_path: Path) -> None:
    """Without an answer, defaults stand in; a feature that must be there is 503, not 422."""
    source = store()
    source.available = False
    served = served_version(False)
    exchange = exchange_of(served, [("ann", 1, 0)], False)
    assert enriched(enricher(tmp_path, source), served, [exchange]) == []
    assert isinstance(exchange.error, FeaturesUnreachable)
    assert "shops.size of row 0 is TIMEOUT" in str(exchange.error)


@pytest.mark.parametrize(
    ("user", "error", "problem"),
    [
        ("", BadRequest, "row 1, features of view 'people': join key 'user'"),
        ("a\r\nb", BadRequest, "control characters"),
        ("x" * 501, BadRequest, "1 to 500 bytes"),
    ],
)
def test_a_bad_key_fails_its_request_alone(
    user: str, error: type[Exception], problem: str, tmp_path: Path
) -> None:
    """A key that cannot be one is refused with its row; the others of the turn are completed."""
    served = served_version(False)
    bad = exchange_of(served, [("ann", 1, 0), (user, 1, 0)], False)
    good = exchange_of(served, [("bob", 2, 0)], False)
    assert enriched(enricher(tmp_path), served, [bad, good]) == [good]
    assert isinstance(bad.error, error)
    assert problem in str(bad.error)


def test_too_many_entities_are_refused(tmp_path: Path) -> None:
    """A request with more rows than may be looked up is refused before the store is asked."""
    source = Later(store())
    served = served_version(False)
    exchange = exchange_of(served, [("ann", 1, 0)] * 3, False)
    assert enriched(enricher(tmp_path, source, most=2), served, [exchange]) == []
    assert isinstance(exchange.error, TooLarge)
    assert source.waiting == []


def test_statuses_are_those_of_the_view(tmp_path: Path) -> None:
    """What is null, defaulted or never written is marked so, feature by feature, in the binding's order."""
    served = served_version(False)
    exchange = exchange_of(served, [("ann", 1, 0), ("bob", 1, 1), ("dan", 2, 0)], False)
    assert enriched(enricher(tmp_path), served, [exchange]) == [exchange]
    assert exchange.features is not None
    fresh, null, missing, default = (
        FeatureStatus.FRESH,
        FeatureStatus.NULL,
        FeatureStatus.MISSING,
        FeatureStatus.DEFAULTED,
    )
    assert exchange.features.rows.status[0:3].tolist() == [
        [fresh, fresh, fresh, fresh, fresh],
        [fresh, default, null, fresh, fresh],
        [default, default, missing, missing, fresh],
    ]
    assert served.features.names == (
        "people.age",
        "people.visits",
        "people.city",
        "people.taste",
        "shops.size",
    )
    assert KeyCodec(PEOPLE).encode(("ann",)) not in exchange.features.fields
    assert b"x-defaulted: features" in exchange.features.fields
