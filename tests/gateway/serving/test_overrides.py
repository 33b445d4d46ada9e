"""What a request sends itself of what is stored."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from driftgate.features.lookup.memory_store import MemoryFeatureStore
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.errors import FeaturesMissing
from driftgate.gateway.serving.batch import whole
from driftgate.gateway.serving.enrichment import Enricher
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.state.skew_counters import read_skew
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_binary import bytes_from_array
from driftgate.gateway.wire.oip_json import parse_infer
from driftgate.gateway.wire.rows import parse_predict
from driftgate.models.schema.bind import bind
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import DATATYPES, TensorSpec
from driftgate.models.schema.stated_binding import stated_binding

from harness.enriching import (
    MATRIX,
    Served,
    enriched,
    enricher,
    exchange_of,
    known_store,
    manifest,
    served_version,
)
from harness.features import entity_rows
from harness.manifests import paper_manifest
from harness.protocol import LIMITS, body_of

KINDS = {
    "f32": ("float32", "FP32"),
    "f64": ("float64", "FP64"),
    "i32": ("int32", "INT32"),
    "i64": ("int64", "INT64"),
    "float_of_i64": ("int64", "FP32"),
    "flag": ("bool", "BOOL"),
    "byte_of_flag": ("bool", "UINT8"),
    "text": ("string", "BYTES"),
}
VECTORS = {"w": ("float32", "FP32"), "n": ("int64", "INT64")}
TYPED = FeatureView(
    "typed",
    (JoinKey("user"),),
    (
        *(Feature(name, dtype, on_missing="error") for name, (dtype, _) in KINDS.items()),  # type: ignore[arg-type]
        *(Feature(name, dtype, length=2, on_missing="error") for name, (dtype, _) in VECTORS.items()),  # type: ignore[arg-type]
    ),
    ttl_s=3600.0,
)
HELD: dict[str, Any] = {
    "f32": 1.5,
    "f64": 2.5,
    "i32": 3,
    "i64": 2**60 + 1,
    "float_of_i64": 2**24 + 1,
    "flag": True,
    "byte_of_flag": 1,
    "text": "Ulm",
    "w": [0.5, 1.5],
    "n": [7, 8],
}
OTHER: dict[str, Any] = {
    "f32": 9.5,
    "f64": 8.5,
    "i32": -4,
    "i64": 2**60,
    "float_of_i64": 5,
    "flag": False,
    "byte_of_flag": 0,
    "text": "Rom",
}


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


def skew_counts(path: Path, feature: str, view: str = "people") -> list[int]:
    """What was counted of a feature: compared, mismatched, stale, missing, extra."""
    made = manifest(False)
    found = {
        key[2:]: skew for key, skew in read_skew([path]).items() if key[:2] == (made.name, str(made.version))
    }
    return list(msgspec.structs.astuple(found[view, feature]))


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
    later = Enricher(
        known_store(), FeatureCounters(tmp_path / "counts"), 10, lambda: time.time_ns() + 7200 * 10**9
    )
    assert len(enriched(later, served, [exchange_of(served, [("ann", 1, 0)], False, **sent)])) == 1
    assert skew_counts(tmp_path, "age") == [1, 0, 1, 0, 0]
    assert skew_counts(tmp_path, "city") == [0, 0, 0, 0, 0]


def typed_manifest() -> Manifest:
    """A version with an input for each column, all of which are stored and may be sent."""
    kinds = {name: datatype for name, (_, datatype) in KINDS.items()}
    kinds |= {f"{name}{place}": datatype for name, (_, datatype) in VECTORS.items() for place in range(2)}
    plain = paper_manifest(
        inputs=tuple(TensorSpec(name, datatype, (-1, 1)) for name, datatype in kinds.items()),
        columns=tuple(Column(name, name, datatype) for name, datatype in kinds.items()),
    )
    features = {name: name for name in KINDS} | {name: [f"{name}0", f"{name}1"] for name in VECTORS}
    bound = {"view": "typed", "keys": {"user": "user"}, "features": features, "overridable": [*features]}
    found = stated_binding({"views": [bound]})
    assert found is not None
    return bind(found, plain, {"typed": TYPED})


VIEW = ModelView.of(typed_manifest())


def as_json(users: Sequence[str], sent: Mapping[str, Sequence[Any]]) -> InferenceRequest:
    """The request as tensors of the protocol, in JSON."""
    return parse_infer(body_of(*_tensors(users, sent)), None, VIEW, LIMITS)


def as_binary(users: Sequence[str], sent: Mapping[str, Sequence[Any]]) -> InferenceRequest:
    """The request as tensors of the protocol, as bytes behind the JSON."""
    tensors, parts = _tensors(users, sent), []
    for tensor in tensors:
        array = np.array(tensor.pop("data"), DATATYPES[tensor["datatype"]].dtype)
        parts.append(bytes_from_array(array, tensor["datatype"]))
        tensor["parameters"] = {"binary_data_size": len(parts[-1])}
    head = body_of(*tensors)
    return parse_infer(b"".join((head, *parts)), len(head), VIEW, LIMITS)


def as_rows(users: Sequence[str], sent: Mapping[str, Sequence[Any]]) -> InferenceRequest:
    """The request as rows of named values."""
    rows = [{"user": user} | {name: sent[name][place] for name in sent} for place, user in enumerate(users)]
    return parse_predict(json.dumps({"rows": rows}).encode(), VIEW, LIMITS)


def _tensors(users: Sequence[str], sent: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(values), 1],
            "datatype": VIEW.inputs[name].datatype,
            "data": values,
        }
        for name, values in {"user": users, **sent}.items()
    ]


Ask = Callable[[Sequence[str], Mapping[str, Sequence[Any]]], InferenceRequest]
WAYS = [as_json, as_binary, as_rows]


def asked(path: Path, *requests: InferenceRequest) -> list[Exchange]:
    """Complete requests as one turn; of the users only ann is stored."""
    store = MemoryFeatureStore()
    store.put(TYPED, entity_rows(TYPED, [("ann",)], {name: [value] for name, value in HELD.items()}))
    served = Served(FeaturePlan.of(typed_manifest(), {"typed": RowLayout.of(TYPED)}))
    exchanges = []
    for request in requests:
        made = Exchange("/")
        made.served = served  # type: ignore[assignment] # as much of one as is needed
        made.request = request
        made.deadline_ns = time.perf_counter_ns() + 10**11
        made.on_settled = lambda exchange: None
        exchanges.append(made)
    enriched(enricher(path, store), served, exchanges)
    return exchanges


def column(exchange: Exchange, name: str) -> list[Any]:
    """What the model gets in a column."""
    values: list[Any] = whole(exchange).feeds[name].ravel().tolist()
    return values


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("name", KINDS)
def test_every_type_can_be_sent_however_it_is_asked(name: str, ask: Ask, tmp_path: Path) -> None:
    """What a request sends counts and is compared exactly with what is stored; its neighbour is looked up."""
    sender, silent = asked(
        tmp_path,
        ask(["ann", "ann"], {name: [HELD[name], OTHER[name]]}),
        ask(["ann"], {}),
    )
    kept = np.array([HELD[name]], DATATYPES[KINDS[name][1]].dtype).tolist()
    assert column(sender, name) == [*kept, OTHER[name]]
    assert column(silent, name) == kept
    assert sender.features is not None
    assert b"sent=2" in sender.features.fields
    assert silent.features is not None
    assert b"sent" not in silent.features.fields
    assert skew_counts(tmp_path, name, "typed") == [2, 1, 0, 0, 0]


@pytest.mark.parametrize("ask", WAYS)
def test_a_whole_vector_takes_the_place_of_what_must_be_stored(ask: Ask, tmp_path: Path) -> None:
    """Elements are sent by themselves; only rows that send all of a vector do without a stored one."""
    everything = {name: [OTHER[name]] for name in KINDS} | {"n0": [1], "n1": [2], "w0": [3.0], "w1": [4.0]}
    known, new, lacking = asked(
        tmp_path,
        ask(["ann"], {"w1": [9.0], "n0": [7]}),
        ask(["new"], everything),
        ask(["new"], {name: sent for name, sent in everything.items() if name != "w0"}),
    )
    assert [column(known, name) for name in ("w0", "w1", "n0", "n1")] == [[0.5], [9.0], [7], [8]]
    assert known.features is not None
    assert known.features.rows.status[0].tolist() == [0] * len(KINDS) + [FeatureStatus.SENT] * 2
    assert [column(new, name) for name in ("w0", "w1", "n0", "n1")] == [[3.0], [4.0], [1], [2]]
    assert isinstance(lacking.error, FeaturesMissing)
    assert "typed.w of row 0 is MISSING" in str(lacking.error)
    assert skew_counts(tmp_path, "w", "typed") == [1, 1, 0, 2, 0]
    assert skew_counts(tmp_path, "n", "typed") == [1, 0, 0, 2, 0]
