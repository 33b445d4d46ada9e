"""Turns that are completed with fewer steps, against the general way, which any other store takes."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.serving.enrichment import Enricher
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.state.feature_counters import BUCKET_CELLS, FETCH_NS, LAYOUT, FeatureCounters
from driftgate.gateway.state.integer_blocks import read_blocks
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.models.schema.bind import bind
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import TensorSpec
from driftgate.models.schema.stated_binding import stated_binding

from harness.feature_rows import SECOND_US, now_us, packed
from harness.features import entity_rows, load_view
from harness.manifests import paper_manifest

USERS = FeatureView(
    "users",
    (JoinKey("user"),),
    (Feature("a", "float32", on_missing="default", default=-1.0), Feature("b", "float32", on_stale="null")),
    ttl_s=3600.0,
)
HOMES = FeatureView(
    "homes",
    (JoinKey("user"),),
    (Feature("rooms", "int64", on_missing="error"), Feature("taste", "float64", length=2)),
)
MATRIX = ("s", "a", "rooms", "b", "t0", "t1")
FRESH = tuple(f"fresh-{number}" for number in range(6))
ODD = ("pushed", "old", "stale", "null", "nan", "infinite", "damaged", "cut", "future", "nobody")
NOW_US = now_us()


@dataclass(eq=False)
class Served:
    """As much of a served version as completing rows needs."""

    features: FeaturePlan
    rows_waiting: int = 0
    rows_at_once: int = 1


class General:
    """The same store behind another type."""

    def __init__(self, inner: LmdbFeatureStore) -> None:
        self._inner = inner

    def fetch(
        self, lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]
    ) -> None:
        self._inner.fetch(lookups, budget_s, done)

    def trouble(self) -> str:
        """There is none."""
        return ""

    def unavailable(self, view: FeatureView) -> str | None:
        return self._inner.unavailable(view)

    def close(self) -> None:
        pass


def rows(view: FeatureView, users: Sequence[str], value: float | None, age_s: float = 10.0) -> EntityRows:
    """Rows whose every feature is near `value`; None is null."""
    names = {feature.name: feature for feature in view.features}
    columns: dict[str, list[Any]] = {}
    for number, (name, feature) in enumerate(names.items()):
        one = value if value is None or feature.dtype.startswith("float") else 7
        columns[name] = [
            one if one is None or feature.length == 1 else [one + number] * feature.length for _ in users
        ]
    made = entity_rows(view, [(user,) for user in users], columns)
    return made._replace(event_time_us=np.full(len(users), NOW_US - int(age_s * SECOND_US), np.int64))


def fill(root: Path, view: FeatureView) -> None:
    """Load what is in order, and push what is odd."""
    load_view(root, view, rows(view, [*FRESH, "pushed", "old", "damaged", "cut"], 1.5, age_s=100.0))
    odd = {"pushed": (2.5, 10.0), "old": (3.5, 200.0), "stale": (1.0, 7200.0), "null": (None, 10.0)}
    odd |= {"nan": (np.nan, 10.0), "infinite": (np.inf, 10.0), "damaged": (4.5, 10.0), "cut": (5.5, 10.0)}
    odd["future"] = (1.0, -600.0)
    pushed = dict(
        itertools.chain.from_iterable(
            packed(view, rows(view, [user], value, age_s)) for user, (value, age_s) in odd.items()
        )
    )
    pushed[b"damaged"] = pushed[b"damaged"][:-1] + b"\xff"
    pushed[b"cut"] = pushed[b"cut"][:-8]
    writer = DeltaWriter(root, view.name)
    writer.push(list(pushed.items()), NOW_US + 3600 * SECOND_US)
    writer.close()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LmdbFeatureStore]:
    """Both views, of which every kind of row is there."""
    root = tmp_path_factory.mktemp("features")
    for view in (USERS, HOMES):
        fill(root, view)
    store = LmdbFeatureStore(root)
    yield store
    store.close()


def served(views: Sequence[FeatureView], overridable: bool = False) -> Served:
    """A version with one matrix that reads these views."""
    bound: list[dict[str, Any]] = [
        {"view": "users", "keys": {"user": "user"}, "features": ["a", "b"]},
        {"view": "homes", "keys": {"user": "user"}, "features": {"rooms": "rooms", "taste": ["t0", "t1"]}},
    ]
    if overridable:
        bound[0]["overridable"] = ["a"]
    columns = tuple(Column(name, "x", "FP32", place, missing=True) for place, name in enumerate(MATRIX))
    plain = paper_manifest(inputs=(TensorSpec("x", "FP32", (-1, len(MATRIX))),), columns=columns)
    stated = stated_binding({"views": bound[: len(views)]})
    assert stated is not None
    manifest = bind(stated, plain, {view.name: view for view in views})
    return Served(FeaturePlan.of(manifest, {view.name: RowLayout.of(view) for view in views}))


def exchange_of(version: Served, users: Sequence[str]) -> Exchange:
    """A request for some users."""
    made = Exchange("/")
    made.served = version  # type: ignore[assignment] # as much of one as is needed
    sent = len(MATRIX) - sum(
        len(one.columns) for view in version.features.views for one in view.bound.features
    )
    x = np.arange(len(users) * sent, dtype=np.float32).reshape(len(users), sent)
    made.request = InferenceRequest(
        {"x": x, "user": np.array([[user] for user in users], object)}, len(users)
    )
    made.deadline_ns = time.perf_counter_ns() + 10**11
    made.on_settled = lambda exchange: None
    return made


TURNS = st.lists(
    st.lists(st.sampled_from([*FRESH * 5, *ODD, ""]), min_size=1, max_size=3), min_size=1, max_size=4
)


def told(store: Any, version: Served, turn: Sequence[Sequence[str]], where: Path) -> tuple[Any, ...]:
    """Return all that can be seen of a turn: answers, errors, what is recorded and what is counted."""
    exchanges = [exchange_of(version, users) for users in turn]
    ready: list[Exchange] = []
    where.unlink(missing_ok=True)
    made = Enricher(store, FeatureCounters(where), 1000, lambda: NOW_US * 1000)
    made.enrich({version: exchanges}, lambda gathered: ready.extend(*gathered.values()))  # type: ignore[dict-item]
    return (
        [_told(exchange) for exchange in exchanges],
        [exchanges.index(one) for one in ready],
        _counted(where),
    )


def _told(exchange: Exchange) -> tuple[Any, ...]:
    notes, rows = exchange.features, exchange.request.rows
    if notes is None:
        return type(exchange.error), str(exchange.error)
    status, times = (notes.part(one, 0, rows) for one in (notes.rows.status, notes.rows.event_times))
    (x,) = notes.inputs(0, rows).values()
    arrays = [(one.dtype, one.shape, one.tobytes()) for one in (x, status, times)]
    return arrays, notes.rows.snapshots, notes.fields, notes.entity_key


def _counted(where: Path) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Return all counters but how long the store took."""
    found = {block.names: list(block.cells) for block in read_blocks(where, LAYOUT)}
    of_store = found["", ""]
    of_store[FETCH_NS] = 0
    of_store[BUCKET_CELLS:] = [sum(of_store[BUCKET_CELLS:])]
    return {names: tuple(cells) for names, cells in found.items()}


@pytest.mark.parametrize("views", [(USERS,), (USERS, HOMES)], ids=["one view", "two views"])
@settings(max_examples=100, deadline=None)
@given(turn=TURNS)
def test_nobody_can_tell_which_way_a_turn_went(
    views: tuple[FeatureView, ...],
    turn: list[list[str]],
    stored: LmdbFeatureStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Inputs, statuses, headers, records, errors and counters are the same, whatever is stored."""
    where = tmp_path_factory.getbasetemp() / "counts"
    version = served(views)
    assert told(stored, version, turn, where) == told(General(stored), version, turn, where)


def test_a_fresh_turn_takes_the_short_way(stored: LmdbFeatureStore, tmp_path: Path) -> None:
    """Only the general way asks a store by `fetch`, so that the comparison above compares two ways."""

    class ShortWayOnly(LmdbFeatureStore):
        def __init__(self) -> None:
            self.packed = stored.packed  # type: ignore[method-assign]

        def fetch(self, *_: object) -> None:
            raise AssertionError("the general way was taken")

    turn = [FRESH[:2], ["pushed"]]
    answers, ready, _ = told(ShortWayOnly(), served((USERS, HOMES)), turn, tmp_path / "counts")
    assert ready == [0, 1]
    assert answers[0][2] == b"x-features: fresh=8;snapshot=users:1/homes:1\r\n"


def test_what_is_sent_is_sorted_out_the_general_way(stored: LmdbFeatureStore, tmp_path: Path) -> None:
    """A version with columns that may be sent answers as it would with any store."""
    version = served((USERS,), overridable=True)
    turn = [FRESH[:2], ["stale"]]
    assert told(stored, version, turn, tmp_path / "a") == told(General(stored), version, turn, tmp_path / "b")
