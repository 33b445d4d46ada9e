"""OpenAPI 3.1 documents of both planes. Pure: models, examples and routes are arguments."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from driftgate.gateway.wire.value_schemas import (
    MODEL_VERSION,
    PREDICTION_ID,
    REQUEST_ID,
    STRING,
    Schema,
    object_of,
    output_row_schema,
    row_schema,
    tensor_schema,
)
from driftgate.models.schema.client_manifest import client_manifest, optional_inputs
from driftgate.models.schema.columns import feeds_from_rows
from driftgate.models.schema.manifest import Manifest
from driftgate.models.schema.signature import TensorSpec

OPENAPI = "3.1.0"
_REFERENCE = "#/components/schemas/{name}"
_PLACEHOLDER = re.compile(r"{([A-Za-z_]+)}")
_ERROR = {"$ref": _REFERENCE.format(name="Error")}
_ERROR_SCHEMA = object_of({"error": STRING})


@dataclass(frozen=True)
class DescribedModel:
    """A model that answers: the manifest of the version with the traffic, and real rows (may be none)."""

    manifest: Manifest
    example_rows: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Parameter:
    """A query parameter or header of a route; the schema is JSON Schema."""

    name: str
    place: Literal["query", "header"]
    schema: Schema
    description: str
    required: bool = False


@dataclass(frozen=True)
class Operation:
    """One route of the admin plane. `request` and `answer` are types that msgspec can describe, or None."""

    method: str
    path: str
    summary: str
    request: Any = None
    answer: Any = None
    status: int = 200
    parameters: tuple[Parameter, ...] = ()


def data_plane_document(version: str, models: Iterable[DescribedModel]) -> bytes:
    """Return the OpenAPI document of the data plane: one operation per model and way to ask it."""
    paths = {path: {"get": _plain(summary)} for path, summary in _PLAIN_PATHS.items()}
    for model in models:
        name = model.manifest.name
        paths[f"/v2/models/{name}"] = {"get": _plain(f"Inputs, outputs and versions of {name}")}
        paths[f"/v2/models/{name}/infer"] = {"post": _infer(model)}
        paths[f"/v2/models/{name}/predict"] = {"post": _predict(model)}
    return _document("Driftgate predictions", version, paths, {})


def admin_plane_document(version: str, operations: Iterable[Operation]) -> bytes:
    """Return the OpenAPI document of the admin plane from its table of operations."""
    listed = list(operations)
    types = [kind for operation in listed for kind in (operation.request, operation.answer) if kind]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    found = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        request = next(found) if operation.request else None
        answer = next(found) if operation.answer else None
        described = _admin_operation(operation, request, answer)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return _document("Driftgate administration", version, paths, components)


def infer_example(manifest: Manifest, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the body of an infer request for these rows as clients send them; missing numbers are null."""
    client, optional = client_manifest(manifest), optional_inputs(manifest)
    feeds = feeds_from_rows(client, rows, optional)
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": list(feeds[spec.name].shape),
                "datatype": spec.datatype,
                "data": _plain_values(feeds[spec.name]),
            }
            for spec in client.signature.inputs
            if spec.name not in optional
        ]
    }


_PLAIN_PATHS = {
    "/v2": "The server's name, version and extensions",
    "/v2/health/live": "Whether the server lives",
    "/v2/health/ready": "Whether the server takes requests",
    "/v2/models": "The names of all models",
    "/v2/models/stats": "Statistics of all models",
}


def _infer(model: DescribedModel) -> Schema:
    manifest = model.manifest
    request = object_of(
        {
            "id": REQUEST_ID,
            "inputs": _tensors(client_manifest(manifest).signature.inputs, optional_inputs(manifest)),
            "outputs": {"type": "array", "items": object_of({"name": STRING})},
            "parameters": {"type": "object"},
        },
        ("inputs",),
    )
    answer = object_of(
        {
            "id": STRING,
            "model_name": {"const": manifest.name},
            "model_version": MODEL_VERSION,
            "outputs": {"type": "array", "items": _one_of(manifest.signature.outputs)},
        }
    )
    example = infer_example(manifest, model.example_rows) if model.example_rows else None
    return {
        "operationId": f"infer_{manifest.name}",
        "summary": f"Predict with {manifest.name}, tensors in and out (Open Inference Protocol v2)",
        "tags": [manifest.name],
        "requestBody": _body(request, example),
        "responses": _answers("200", answer),
    }


def _predict(model: DescribedModel) -> Schema:
    manifest, optional = client_manifest(model.manifest), optional_inputs(model.manifest)
    rows: Schema = {"type": "array", "items": row_schema(manifest, optional), "minItems": 1}
    if not any(spec.batched for spec in manifest.signature.inputs):
        rows["maxItems"] = 1
    request = object_of({"rows": rows, "id": REQUEST_ID}, ("rows",))
    answer = object_of(
        {
            "rows": {"type": "array", "items": output_row_schema(manifest)},
            "model_version": MODEL_VERSION,
            "prediction_id": PREDICTION_ID,
            "id": STRING,
        },
        ("rows", "model_version", "prediction_id"),
    )
    example = {"rows": [_plain_row(row) for row in model.example_rows]} if model.example_rows else None
    return {
        "operationId": f"predict_{manifest.name}",
        "summary": f"Predict with {manifest.name}, rows of named values",
        "tags": [manifest.name],
        "requestBody": _body(request, example),
        "responses": _answers("200", answer),
    }


def _tensors(specs: Sequence[TensorSpec], optional: frozenset[str]) -> Schema:
    least = len(specs) - len(optional)
    return {"type": "array", "items": _one_of(specs), "minItems": least, "maxItems": len(specs)}


def _one_of(specs: Sequence[TensorSpec]) -> Schema:
    schemas = [tensor_schema(spec) for spec in specs]
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _admin_operation(operation: Operation, request: Schema | None, answer: Schema | None) -> Schema:
    described: Schema = {"summary": operation.summary}
    parameters: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": STRING}
        for name in _PLACEHOLDER.findall(operation.path)
    ]
    parameters += [
        {
            "name": it.name,
            "in": it.place,
            "required": it.required,
            "schema": it.schema,
            "description": it.description,
        }
        for it in operation.parameters
    ]
    if parameters:
        described["parameters"] = parameters
    if request is not None:
        described["requestBody"] = _body(request, None)
    described["responses"] = _answers(str(operation.status), answer)
    return described


def _plain(summary: str) -> Schema:
    return {"summary": summary, "responses": _answers("200", {})}


def _body(schema: Schema, example: Any) -> Schema:
    content: Schema = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"required": True, "content": {"application/json": content}}


def _answers(status: str, schema: Schema | None) -> Schema:
    content = {} if schema is None else {"content": {"application/json": {"schema": schema}}}
    return {
        status: {"description": "Done", **content},
        "default": {
            "description": "Refused or failed; the text says why",
            "content": {"application/json": {"schema": _ERROR}},
        },
    }


def _document(title: str, version: str, paths: Mapping[str, Any], components: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            "openapi": OPENAPI,
            "info": {"title": title, "version": version, "license": {"name": "Apache-2.0"}},
            "paths": paths,
            "components": {"schemas": {**components, "Error": _ERROR_SCHEMA}},
        }
    )


def _plain_values(array: "np.ndarray[Any, Any]") -> list[Any]:
    values: list[Any] = array.ravel().tolist()
    return [None if value != value else value for value in values]


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
