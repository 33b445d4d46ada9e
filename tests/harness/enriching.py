"""Requests of a version that reads stored features, without a gateway around them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftgate.features.lookup.memory_store import MemoryFeatureStore
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.serving.enrichment import Enricher
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.state.feature_counters import FeatureCounters
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
        Feature("orders", "int32", length=2),
        Feature("member", "bool"),
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
            "features": {
                "age": "age",
                "visits": "visits",
                "city": "city",
                "taste": ["t0", "t1"],
                "orders": ["o0", "o1"],
                "member": "member",
            },
            "overridable": ["age", "city"],
        },
        {"view": "shops", "keys": {"shop": "shop", "floor": "hour"}, "features": {"size": "size"}},
    ],
    "keys": {"shop": {"type": "int64"}, "hour": {"type": "int64"}},
}
MATRIX = ("a", "t0", "age", "b", "t1", "size", "visits", "o0", "member", "o1")
USERS = ("ann", "bob", "cat")
KNOWN = pd.DataFrame(
    {
        "age": [10.0, 20.0, None],
        "visits": [1, None, 3],
        "city": ["Ulm", None, "Bonn"],
        "t0": [0.5, 1.5, None],
        "t1": [0.25, 1.25, None],
        "o0": [0, None, 2],
        "o1": [1, None, 3],
        "member": [True, None, False],
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


def known_store() -> MemoryFeatureStore:
    """What is known, an hour fresh."""
    made = MemoryFeatureStore()
    columns: dict[str, list[Any]] = {
        str(name): KNOWN[name].astype(object).where(KNOWN[name].notna(), None).tolist() for name in KNOWN
    }
    vectors = {
        name: [None if None in pair else pair for pair in zip(columns[first], columns[second], strict=True)]
        for name, first, second in (("taste", "t0", "t1"), ("orders", "o0", "o1"))
    }
    rows = entity_rows(PEOPLE, [(user,) for user in USERS], columns | vectors)
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
    return Enricher(source or known_store(), FeatureCounters(path / "counts"), most)


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
        **{name: found[name] for name in ("t0", "t1", "o0", "o1", "member")},
        "size": SIZES[shop, hour],
    }
