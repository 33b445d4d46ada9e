"""OpenAPI documents of both planes."""

import json
from typing import Any

import msgspec

from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import parse_infer
from driftgate.gateway.wire.openapi import (
    DescribedModel,
    Operation,
    admin_plane_document,
    data_plane_document,
)
from driftgate.gateway.wire.rows import parse_predict
from driftgate.models.schema.binding import BoundFeature, BoundKey, BoundView, FeatureBinding
from driftgate.models.schema.manifest import Column

from harness.protocol import LIMITS, manifest_of

PEOPLE = manifest_of(
    [("x", "FP32", (-1, 2)), ("city", "BYTES", (-1, 1)), ("image", "UINT8", (-1, 2, 2))],
    [("score", "FP32", (-1, 1)), ("p", "FP64", (-1, 3))],
    columns=[
        Column("age", "x", "FP32", 0, unit="years", description="Age at the time."),
        Column("sum", "x", "FP32", 1, missing=True),
        Column("city", "city", "BYTES", categories=("Lyon", "Nice")),
    ],
)
ROW: dict[str, Any] = {"age": 41.0, "sum": None, "city": "Lyon", "image": [[1, 2], [3, 4]]}


def operation(verb: str) -> dict[str, Any]:
    """The operation of model `m` in the data plane's document."""
    document = json.loads(data_plane_document("1.2.3", [DescribedModel(PEOPLE, [ROW])]))
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == "1.2.3"
    found: dict[str, Any] = document["paths"][f"/v2/models/m/{verb}"]["post"]
    return found


def content(described: dict[str, Any]) -> dict[str, Any]:
    """The JSON content of a request body or a response."""
    found: dict[str, Any] = described["content"]["application/json"]
    return found


def test_rows_have_the_schema_of_the_columns() -> None:
    """A row's schema has types, categories, units, and null where a value may be missing."""
    row = content(operation("predict")["requestBody"])["schema"]["properties"]["rows"]["items"]
    assert row["properties"]["age"] == {
        "type": "number",
        "x-unit": "years",
        "description": "Age at the time. Unit: years.",
    }
    assert row["properties"]["sum"] == {"type": ["number", "null"]}
    assert row["properties"]["city"] == {"type": "string", "enum": ["Lyon", "Nice"]}
    assert row["properties"]["image"]["items"]["items"] == {"type": "integer", "minimum": 0, "maximum": 255}
    assert row["required"] == ["age", "city", "image"]
    assert row["additionalProperties"] is False


def test_examples_are_accepted() -> None:
    """The examples are requests that the codecs take, and mean the same rows."""
    view = ModelView.of(PEOPLE)
    rows = content(operation("predict")["requestBody"])["example"]
    tensors = content(operation("infer")["requestBody"])["example"]
    by_rows = parse_predict(json.dumps(rows).encode(), view, LIMITS)
    by_tensors = parse_infer(json.dumps(tensors).encode(), None, view, LIMITS)
    for name, array in by_rows.inputs.items():
        assert array.tobytes() == by_tensors.inputs[name].tobytes() or array.dtype == object
    assert by_tensors.inputs["city"].tolist() == [["Lyon"]]


def test_what_may_be_sent_is_shown() -> None:
    """A stored column that may be sent is optional in rows and tensors, and says when it is looked up."""
    stored = msgspec.structs.replace(
        manifest_of(
            [("visits", "INT64", (-1, 1)), ("x", "FP32", (-1, 1))],
            columns=[Column("visits", "visits", "INT64", description="Visits."), Column("x", "x", "FP32")],
        ),
        features=FeatureBinding(
            (BoundKey("user"),),
            (BoundView("v", {"user": "user"}, (BoundFeature("visits", ("visits",), overridable=True),)),),
        ),
    )
    row = {"x": 1.0, "user": "user-1"}
    paths = json.loads(data_plane_document("1", [DescribedModel(stored, [row])]))["paths"]
    rows, tensors = (
        content(paths[f"/v2/models/m/{verb}"]["post"]["requestBody"]) for verb in ("predict", "infer")
    )
    schema = rows["schema"]["properties"]["rows"]["items"]
    assert schema["required"] == ["x", "user"]
    assert schema["properties"]["visits"] == {
        "type": ["integer", "null"],
        "minimum": -(2**63),
        "maximum": 2**63 - 1,
        "description": "Visits. Looked up where it is not sent; a request sends it in all rows or in none.",
    }
    assert tensors["schema"]["properties"]["inputs"]["minItems"] == 2
    assert [
        one["properties"]["name"]["const"]
        for one in tensors["schema"]["properties"]["inputs"]["items"]["oneOf"]
    ] == ["x", "user", "visits"]
    assert [one["name"] for one in tensors["example"]["inputs"]] == ["x", "user"]


def test_answers_have_the_schema_of_the_outputs() -> None:
    """One value per row is a scalar; every operation has the error body."""
    responses = operation("predict")["responses"]
    outputs = content(responses["200"])["schema"]["properties"]["rows"]["items"]["properties"]
    assert outputs["score"] == {"type": ["number", "null"]}
    assert (outputs["p"]["minItems"], outputs["p"]["maxItems"]) == (3, 3)
    assert content(responses["default"])["schema"] == {"$ref": "#/components/schemas/Error"}


def test_model_without_examples() -> None:
    """A model without example rows is described without an example."""
    document = json.loads(data_plane_document("1", [DescribedModel(PEOPLE)]))
    for verb in ("infer", "predict"):
        assert "example" not in content(document["paths"][f"/v2/models/m/{verb}"]["post"]["requestBody"])


def test_operation_ids_are_unique() -> None:
    """Every model has operations of its own."""
    models = [DescribedModel(PEOPLE), DescribedModel(msgspec.structs.replace(PEOPLE, name="n"))]
    paths = json.loads(data_plane_document("1", models))["paths"]
    ids = [verb["operationId"] for path in paths.values() for verb in path.values() if "operationId" in verb]
    assert len(ids) == len(set(ids)) == 4


class Wanted(msgspec.Struct):
    """What a test's route takes."""

    version: int


class Given(msgspec.Struct):
    """What a test's route gives."""

    done: bool
    wanted: Wanted


def test_admin_plane() -> None:
    """The admin plane's routes come from their table: methods, path parameters and schemas of their types."""
    table = [
        Operation("GET", "/api/models/{model}", "One model", answer=Given),
        Operation("PUT", "/api/models/{model}", "Change it", request=Wanted, answer=list[Given], status=202),
        Operation("DELETE", "/api/models/{model}/{version}", "Drop it"),
    ]
    document = json.loads(admin_plane_document("1", table))
    both = document["paths"]["/api/models/{model}"]
    assert set(both) == {"get", "put"}
    assert content(both["get"]["responses"]["200"])["schema"] == {"$ref": "#/components/schemas/Given"}
    assert content(both["put"]["requestBody"])["schema"] == {"$ref": "#/components/schemas/Wanted"}
    assert content(both["put"]["responses"]["202"])["schema"]["items"] == {
        "$ref": "#/components/schemas/Given"
    }
    assert set(document["components"]["schemas"]) == {"Wanted", "Given", "Error"}
    names = [
        item["name"] for item in document["paths"]["/api/models/{model}/{version}"]["delete"]["parameters"]
    ]
    assert names == ["model", "version"]
