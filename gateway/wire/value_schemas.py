"""JSON Schema (2020-12) of a model's rows and tensors, from its columns and signature. Pure."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from driftgate.models.schema.columns import named_inputs
from driftgate.models.schema.elements import fill_of
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import DATATYPES, FLOATS, TensorSpec

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
MODEL_VERSION: Schema = {"type": "string", "description": "The version that answered."}
PREDICTION_ID: Schema = {"type": "string", "format": "uuid", "description": "Join key for labels."}
REQUEST_ID: Schema = {"type": "string", "maxLength": 1024, "description": "Echoed in the answer."}


def object_of(properties: Mapping[str, Schema], required: tuple[str, ...] | None = None) -> Schema:
    """Return the schema of an object; everything is required unless `required` says less."""
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": dict(properties), "required": names}


def value_schema(datatype: str) -> Schema:
    """Return the schema of one element of a tensor of this datatype."""
    if datatype in FLOATS:
        return {"type": "number"}
    if datatype == "BOOL":
        return {"type": "boolean"}
    if datatype == "BYTES":
        return dict(STRING)
    limits = np.iinfo(DATATYPES[datatype].dtype)
    return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}


def column_schema(column: Column, nullable: bool) -> Schema:
    """Return the schema of one column: its type, categories and unit; `nullable` where it may be missing."""
    schema = value_schema(column.datatype)
    if column.categories:
        schema["enum"] = list(column.categories)
    if nullable:
        schema["type"] = [schema["type"], "null"]
        if column.categories:
            schema["enum"].append(None)
    if column.unit:
        schema["x-unit"] = column.unit
    words = [word for word in (column.description, column.unit and f"Unit: {column.unit}.") if word]
    if words:
        schema["description"] = " ".join(words)
    return schema


def row_schema(manifest: Manifest, may_leave_out: frozenset[str]) -> Schema:
    """Return the schema of one row of a predict request; columns that may be missing may be left out.

    So may those of the inputs that a request `may_leave_out`.
    """
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for spec, columns in named_inputs(manifest):
        if columns:
            optional = {
                column.name
                for column in columns
                if spec.name in may_leave_out or fill_of(column, spec.datatype) is not None
            }
            properties |= {c.name: column_schema(c, nullable=c.name in optional) for c in columns}
            required += [column.name for column in columns if column.name not in optional]
        else:
            properties[spec.name] = nested_schema(spec)
            required.append(spec.name)
    return object_of(properties, tuple(required)) | {"additionalProperties": False}


def nested_schema(spec: TensorSpec) -> Schema:
    """Return the schema of one row of a tensor: a value, or lists nested like its shape."""
    schema = value_schema(spec.datatype)
    if spec.datatype in FLOATS:
        schema["type"] = ["number", "null"]
    for size in reversed(spec.shape[1:] if spec.batched else spec.shape):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def output_row_schema(manifest: Manifest) -> Schema:
    """Return the schema of one row of a predict answer."""
    return object_of({spec.name: _output_schema(spec) for spec in manifest.signature.outputs})


def tensor_schema(spec: TensorSpec) -> Schema:
    """Return the schema of one named tensor of the protocol, its data flat or nested."""
    sizes = [{"type": "integer", "minimum": 1} if size < 0 else {"const": size} for size in spec.shape]
    shape = {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}
    return object_of(
        {
            "name": {"const": spec.name},
            "shape": shape if sizes else {"type": "array", "maxItems": 0},
            "datatype": {"const": spec.datatype},
            "data": {"type": "array", "description": "Row-major, flat or nested."},
            "parameters": {"type": "object"},
        },
        ("name", "shape", "datatype"),
    )


def _output_schema(spec: TensorSpec) -> Schema:
    if spec.batched and spec.shape[1:] == (1,):
        return nested_schema(TensorSpec(spec.name, spec.datatype, (-1,)))
    return nested_schema(spec)
