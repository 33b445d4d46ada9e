"""Manifests and request bodies for tests of the codecs."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from driftgate.gateway.wire.computed import Computed, InferenceResult
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import encode_infer, parse_infer
from driftgate.gateway.wire.tensor_views import ParseLimits
from driftgate.models.schema.manifest import Column, Manifest, Provenance
from driftgate.models.schema.signature import Signature, TensorSpec

PREDICTION_ID = "018bcfe5-6800-77d4-8c39-1ff4a640f6b5"
LIMITS = ParseLimits(max_rows=1000)

Spec = tuple[str, str, tuple[int, ...]]


def manifest_of(
    inputs: Sequence[Spec] = (("x", "FP32", (-1, 4)),),
    outputs: Sequence[Spec] = (("y", "FP32", (-1, 4)),),
    columns: Sequence[Column] = (),
    **fields: object,
) -> Manifest:
    """Return the manifest of model `m`, version 2; inputs and outputs are (name, datatype, shape)."""
    signature = Signature(
        tuple(TensorSpec(*spec) for spec in inputs), tuple(TensorSpec(*spec) for spec in outputs)
    )
    plain = Manifest(
        format=1,
        name="m",
        version=2,
        signature=signature,
        files=(),
        columns=tuple(columns),
        provenance=Provenance("", ""),
    )
    return msgspec.structs.replace(plain, **fields)


def tensor(name: Any = "x", shape: Any = (1, 4), datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    """Return one element of `inputs`; four numbers are its data unless `more` says otherwise."""
    return {"name": name, "shape": shape, "datatype": datatype} | ({"data": [1, 2, 3, 4]} | more)


def body_of(*tensors: dict[str, Any], **more: Any) -> bytes:
    """Return the JSON of an inference request."""
    return json.dumps({"inputs": list(tensors)} | more).encode()


def parsed(manifest: Manifest, body: bytes, header_length: int | None = None) -> InferenceRequest:
    """Return the request in `body`, read with a view made for the occasion."""
    return parse_infer(body, header_length, ModelView.of(manifest), LIMITS)


def result_of(**outputs: Array) -> InferenceResult:
    """Return what model `m`, version 2, computed."""
    return InferenceResult(2, PREDICTION_ID, Computed({}, outputs))


def answer_of(manifest: Manifest, request: InferenceRequest, **outputs: Array) -> dict[str, Any]:
    """Return the decoded JSON answer to `request`."""
    encoded = encode_infer(request, result_of(**outputs), ModelView.of(manifest), "null")
    document: dict[str, Any] = json.loads(encoded.body)
    return document
