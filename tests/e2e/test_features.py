"""Predictions by key: a real gateway, the embedded store, and clients as they are."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import tritonclient.http as triton

import driftgate
from driftgate.features.embedded.snapshots import ViewFiles
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.models.errors import InvalidManifest
from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import GraphFiles, Target, publish_graph
from driftgate.models.schema.binding import FeatureBinding
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.stated_binding import stated_binding
from driftgate.monitoring.log.records import record_columns

from harness.features import declare, entity_rows, load_view
from harness.gateway import Gateway, running, took_s, until
from harness.models import linear_model, mixed_model
from harness.records import blocks_of, reader

USERS = FeatureView(
    "users",
    (JoinKey("user"),),
    (
        Feature("age", "float32", on_missing="default", default=1.0),
        Feature("score", "float32", on_missing="error"),
    ),
    ttl_s=3600.0,
)
BINDING: dict[str, Any] = {
    "views": [
        {
            "view": "users",
            "keys": {"user": "user"},
            "features": {"age": "b", "score": "c"},
            "overridable": ["age"],
        }
    ]
}
HABITS = FeatureView(
    "habits",
    (JoinKey("user"),),
    (Feature("visits", "int64", on_missing="error"), Feature("member", "bool", on_missing="error")),
)
HABIT_BINDING: dict[str, Any] = {
    "views": [
        {
            "view": "habits",
            "keys": {"user": "user"},
            "features": {"visits": "count", "member": "flag"},
            "overridable": ["visits", "member"],
        }
    ]
}
COLUMNS = tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("abcd"))


def publish_bound(
    registry: Path, name: str = "m", binding: dict[str, Any] | FeatureBinding = BINDING
) -> None:
    """Publish a model that sums four columns a to d, of which b and c are stored."""
    known = Description(columns=COLUMNS, binding=stated_binding(binding), views={"users": USERS})
    publish_graph(GraphFiles(linear_model(1.0).SerializeToString()), Target(name, registry), known)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose model `m` adds up what is sent and what is stored of two users."""
    root = tmp_path_factory.mktemp("features")
    declare(root / "registry", USERS)
    rows = entity_rows(USERS, [("ann",), ("bob",)], {"age": [10.0, None], "score": [100.0, 200.0]})
    load_view(root / "state" / "features", USERS, rows)
    publish_bound(root / "registry")
    declare(root / "registry", HABITS)
    load_view(
        root / "state" / "features",
        HABITS,
        entity_rows(HABITS, [("ann",)], {"visits": [4], "member": [True]}),
    )
    known = Description(binding=stated_binding(HABIT_BINDING), views={"habits": HABITS})
    publish_graph(GraphFiles(mixed_model().SerializeToString()), Target("n", root / "registry"), known)
    with running(root) as started:
        started.wait_version("m", 1)
        started.wait_version("n", 1)
        yield started


def predict(gateway: Gateway, *rows: dict[str, Any]) -> httpx.Response:
    return gateway.client.post(f"{gateway.ports.data}/v2/models/m/predict", json={"rows": rows})


def values(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    return [row["y"] for row in answer.json()["rows"]]


def test_a_key_stands_for_what_is_stored(gateway: Gateway) -> None:
    """Rows get the stored features of their keys, in the columns of the binding, and the answer says so."""
    answer = predict(gateway, {"a": 1, "d": 2, "user": "ann"})
    assert values(answer) == [113.0]
    assert answer.headers["x-features"] == "fresh=2;snapshot=1"
    assert "x-defaulted" not in answer.headers


def test_what_is_missing_is_said(gateway: Gateway) -> None:
    """A null becomes its default, which the headers say; each row has its own entity."""
    answer = predict(gateway, *({"a": 0, "d": 0, "user": name} for name in ("bob", "ann", "bob")))
    assert values(answer) == [201.0, 110.0, 201.0]
    assert answer.headers["x-features"] == "fresh=4,default=2;snapshot=1"
    assert answer.headers["x-defaulted"] == "features"


def test_an_unchanged_client_of_the_protocol_can_ask(gateway: Gateway) -> None:
    """tritonclient sends the narrower matrix and the keys as BYTES, binary or not, as the metadata says."""
    client = triton.InferenceServerClient(gateway.ports.data.removeprefix("http://"))
    inputs = {item["name"]: item for item in client.get_model_metadata("m")["inputs"]}
    assert {name: (item["datatype"], item["shape"]) for name, item in inputs.items()} == {
        "x": ("FP32", [-1, 2]),
        "user": ("BYTES", [-1, 1]),
        "b": ("FP32", [-1, 1]),
    }
    config = client.get_model_config("m")
    assert [item["name"] for item in config["input"] if item.get("optional")] == ["b"]
    for binary in (True, False):
        x = triton.InferInput("x", [2, 2], "FP32")
        x.set_data_from_numpy(np.array([[1, 2], [3, 4]], np.float32), binary_data=binary)
        user = triton.InferInput("user", [2, 1], "BYTES")
        user.set_data_from_numpy(np.array([[b"ann"], [b"bob"]], object), binary_data=binary)
        answer = client.infer("m", [x, user]).as_numpy("y")
        assert answer.tolist() == [[113.0], [208.0]]


def test_a_request_may_send_what_the_binding_allows(gateway: Gateway) -> None:
    """An overridable column that is sent counts in place of what is stored; others cannot be sent."""
    answer = predict(gateway, {"a": 0, "d": 0, "user": "ann", "b": 5}, {"a": 0, "d": 0, "user": "ann"})
    assert values(answer) == [105.0, 110.0]
    assert answer.headers["x-features"] == "fresh=3,sent=1;snapshot=1"
    refused = predict(gateway, {"a": 0, "d": 0, "user": "ann", "c": 5})
    assert refused.status_code == 400
    assert "unknown column 'c'" in refused.json()["error"]


def test_whole_numbers_and_booleans_are_sent_in_all_rows_or_in_none(gateway: Gateway) -> None:
    """Of an optional input all rows count as sent; rows that differ are refused with the first that does."""
    url = f"{gateway.ports.data}/v2/models/n"
    row: dict[str, Any] = {"f0": 1, "f1": 2, "text": "a", "user": "ann"}
    for more, answers, told in (
        ([{}, {}], [(5, True), (5, True)], "fresh=4"),
        ([{"count": 8}, {"count": 9}], [(9, True), (10, True)], "fresh=2,sent=2"),
        ([{"count": 8, "flag": False}], [(9, False)], "sent=2"),
    ):
        answer = gateway.client.post(f"{url}/predict", json={"rows": [row | one for one in more]})
        assert [(one["next"], one["same_flag"]) for one in answer.json()["rows"]] == answers
        assert answer.headers["x-features"] == f"{told};snapshot=1"
    refused = gateway.client.post(f"{url}/predict", json={"rows": [row, row | {"flag": True}]})
    assert refused.status_code == 400
    assert "row 1, column 'flag': it is sent, and row 0 does not send it" in refused.json()["error"]
    config = gateway.client.get(f"{url}/config").json()
    assert [item["name"] for item in config["input"] if item.get("optional")] == ["count", "flag"]


def test_a_feature_that_must_be_there_is_named(gateway: Gateway) -> None:
    """A policy of "error" refuses the request that lacks the feature, with its view, name and row."""
    refused = predict(gateway, {"a": 0, "d": 0, "user": "ann"}, {"a": 0, "d": 0, "user": "nobody"})
    assert (refused.status_code, refused.json()["error"]) == (
        422,
        "features are missing that the model cannot do without: users.score of row 1 is MISSING",
    )


@pytest.mark.parametrize(
    ("key", "status", "problem"),
    [
        ("", 400, "row 0, features of view 'users': join key 'user': 1 to 500 bytes are allowed, not 0"),
        ("x" * 10_000, 400, "join key 'user': 1 to 500 bytes are allowed, not 10000"),
        ("ann\r\nSET a b\r\n", 400, "join key 'user': control characters are not allowed"),
        ("*1\r\n$4\r\nPING\r\n", 400, "control characters are not allowed"),
        (7, 400, "row 0, column 'user': 7 is not a string"),
        (None, 400, "null stands for a missing value, and this one may not be missing"),
        (["ann"], 400, "is not a string"),
    ],
)
def test_a_bad_key_is_refused(gateway: Gateway, key: Any, status: int, problem: str) -> None:
    """Keys that cannot be any are refused with the row and the reason; the worker goes on."""
    refused = predict(gateway, {"a": 0, "d": 0, "user": key})
    assert refused.status_code == status
    assert problem in refused.json()["error"]
    assert values(predict(gateway, {"a": 1, "d": 2, "user": "ann"})) == [113.0]


def test_too_many_keys_are_refused(gateway: Gateway) -> None:
    """A request for more entities than allowed is refused before anything is looked up."""
    rows = [{"a": 0, "d": 0, "user": "ann"}] * 10_001
    refused = predict(gateway, *rows)
    assert refused.status_code == 413
    assert "10001 rows whose features are to be looked up; it may have 10000" in refused.json()["error"]
    assert predict(gateway, *rows[:1] * 100_001).status_code == 413


def test_a_bad_key_costs_no_other_request_its_answer(gateway: Gateway) -> None:
    """Requests of one turn fail alone."""
    with httpx.Client() as other:
        for _ in range(3):
            assert predict(gateway, {"a": 0, "d": 0, "user": ""}).status_code == 400
            body = {"rows": [{"a": 1, "d": 2, "user": "ann"}]}
            assert other.post(f"{gateway.ports.data}/v2/models/m/predict", json=body).status_code == 200


def test_the_described_api_is_what_is_asked_for(gateway: Gateway) -> None:
    """OpenAPI shows keys and request columns, and its example works."""
    document = gateway.client.get(f"{gateway.ports.data}/openapi.json").json()
    for verb in ("predict", "infer"):
        path = f"/v2/models/m/{verb}"
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        example = msgspec.json.decode(msgspec.json.encode(body["example"]).replace(b"user-1", b"ann"))
        assert gateway.client.post(gateway.ports.data + path, json=example).status_code == 200
    row = document["paths"]["/v2/models/m/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert set(row["schema"]["properties"]["rows"]["items"]["required"]) == {"a", "d", "user"}


@pytest.mark.alone
def test_a_new_snapshot_is_read_at_once(gateway: Gateway) -> None:
    """What is loaded while the gateway serves is read from the next answers on, and named."""
    store = gateway.layout.features
    number = load_view(store, USERS, entity_rows(USERS, [("ann",)], {"age": [20.0], "score": [100.0]}))

    def seen() -> bool:
        answer = predict(gateway, {"a": 1, "d": 2, "user": "ann"})
        return answer.headers["x-features"] == f"fresh=2;snapshot={number}" and values(answer) == [123.0]

    assert took_s(seen, 2.0, "the new snapshot is read") <= 2.0


def test_a_version_waits_for_its_features(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """A version whose view is not declared, or empty, is not READY and says why; then it becomes READY."""
    publish_bound(tmp_path / "registry")
    running = start_gateway()

    def reason() -> str:
        (version,) = running.model("m").get("versions", ({"reason": ""},))
        return str(version["reason"])

    until(lambda: "the feature view 'users' is not declared" in reason(), 5.0, "undeclared")
    declare(tmp_path / "registry", USERS)
    until(lambda: "the view 'users' holds no rows yet" in reason(), 5.0, "no rows")
    rows = entity_rows(USERS, [("ann",)], {"age": [10.0], "score": [100.0]}, age_s=7200)
    load_view(running.layout.features, USERS, rows)
    running.wait_version("m", 1)
    until(lambda: predict(running, {"a": 1, "d": 2, "user": "ann"}).status_code == 200, 5.0, "it answers")
    answer = predict(running, {"a": 1, "d": 2, "user": "ann"})
    assert values(answer) == [113.0]
    assert answer.headers["x-features"] == "stale=2;snapshot=1"


def test_metrics_tell_what_was_read(gateway: Gateway) -> None:
    """A scrape tells values by status, ages, the snapshot, and how sent values compare with stored ones."""
    predict(gateway, {"a": 0, "d": 0, "user": "ann", "b": -1})
    text = gateway.client.get(f"{gateway.ports.metrics}/metrics").text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    found = {name: float(value) for name, _, value in lines}
    assert found['driftgate_feature_values_total{status="fresh",view="users"}'] > 0
    assert found['driftgate_feature_age_seconds_bucket{le="+Inf",view="users"}'] > 0
    assert found['driftgate_feature_snapshot{slot="0",view="users"}'] >= 1
    labels = 'feature="age",model="m",result="mismatched",version="1",view="users"'
    assert found[f"driftgate_feature_skew_rows_total{{{labels}}}"] >= 1


def test_records_hold_what_was_read(gateway: Gateway) -> None:
    """A record has the completed row, the status of each feature, the snapshot, and a hash of the key."""
    answer = predict(gateway, {"a": 1, "d": 2, "user": "ann"})
    wanted = answer.json()["prediction_id"].replace("-", "")
    found: dict[str, Any] = {}

    def recorded() -> bool:
        for block in blocks_of(reader(gateway.layout.root).read()):
            columns = {column.name: column.values for column in record_columns([block])}
            ids = [bytes(one).hex() for one in np.asarray(columns["prediction_id"])]
            if wanted in ids:
                row = ids.index(wanted)
                found.update({name: values.tolist()[row] for name, values in columns.items()})
        return bool(found)

    until(recorded, 5.0, "the record is written")
    assert found["a"] == 1.0
    assert found["feature_status.users.age"] in set(FeatureStatus)
    assert found["snapshot.users"] >= 1
    assert any(found["entity_key"])


def test_a_publisher_far_away_is_told_at_once(gateway: Gateway, tmp_path: Path) -> None:
    """As in a directory: the line of what does not fit, keys as declared; and what the version waits for."""
    declare(gateway.registry, FeatureView("cards", (JoinKey("card", "int64"),), (Feature("b", "float32"),)))
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    binding = tmp_path / "binding.toml"
    text = '[[views]]\nview = "cards"\nkeys = { card = "card" }\nfeatures = { b = "f1" }\n'
    publish = partial(
        driftgate.publish, tmp_path / "m.onnx", name="far", features=binding, server=gateway.ports.admin
    )
    binding.write_text(text.replace("b =", "bee ="))
    with pytest.raises(InvalidManifest, match=r"toml, line 4: view 'cards' has no feature 'bee'; it has: b"):
        publish()
    assert not (gateway.registry / "far").exists()
    binding.write_text(text)
    published = publish(columns=[{"name": "f1", "missing": True}])
    assert published.manifest.features is not None
    assert published.manifest.features.keys[0].type == "int64"
    assert published.warnings[-1].startswith("not READY yet: the view 'cards' holds no rows")


def test_a_snapshot_cut_short_costs_one_crash(gateway: Gateway) -> None:
    """A worker that dies of it comes back with the snapshot before, says so, and does not die again."""
    files = ViewFiles(gateway.layout.features, USERS.name)
    rows = entity_rows(USERS, [("ann",)], {"age": [20.0], "score": [100.0]})
    before = load_view(files.root, USERS, rows)
    current = load_view(files.root, USERS, rows)
    row = {"a": 1, "d": 2, "user": "ann"}
    until(lambda: f"snapshot={current}" in predict(gateway, row).headers["x-features"], 5, "it is read")
    data = files.snapshot(current) / "data.mdb"
    assert data.stat().st_mode & 0o222 == 0
    data.chmod(0o600)
    os.truncate(data, 8192)

    def read() -> str:
        with suppress(httpx.TransportError):
            return str(predict(gateway, row).headers.get("x-features", ""))
        return ""

    until(lambda: f"snapshot={before}" in read(), 20, "the snapshot before is read")
    with httpx.Client() as client:
        for _ in range(20):
            answer = client.post(f"{gateway.ports.data}/v2/models/m/predict", json={"rows": [row]})
            assert (answer.status_code, values(answer)) == (200, [123.0])
    view = gateway.client.get(f"{gateway.ports.admin}/api/features/users").json()
    assert "cut short" in view["problem"]
