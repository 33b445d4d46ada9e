"""Requests that are nothing but the bytes of one tensor, without any JSON. Pure."""

import numpy as np

from driftgate.gateway.errors import BadRequest
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_binary import Span, array_from_bytes, text_of
from driftgate.gateway.wire.oip_data import rows_and_count
from driftgate.gateway.wire.tensor_views import InputView, ParseLimits


def parse_raw(body: bytes, view: ModelView, limits: ParseLimits) -> InferenceRequest:
    """Return the request whose body is nothing but the bytes of the model's one input.

    Its shape is deduced: one dimension may vary; where rows and one more do, it is one row. A BYTES input
    gets the body as its one element. All outputs are to be binary.
    """
    if len(view.input_names) != 1:
        raise BadRequest(
            "Raw request must only have 1 input (found 1) to be deduced but got "
            f"{len(view.input_names)} inputs in {view.name!r} model configuration"
        )
    spec = view.inputs[view.input_names[0]]
    shape = _deduced_shape(spec, len(body))
    rows, count = rows_and_count(spec, shape, view.name, limits)
    if spec.datatype == "BYTES":
        if count != 1:
            raise BadRequest(f"a raw request is one string; input {spec.name!r} takes {count} per row")
        array: Array = np.array([text_of(spec, 0, body)], object).reshape(shape)
    else:
        array = array_from_bytes(spec, body, Span(0, len(body)), shape, count)
    return InferenceRequest({spec.name: array}, rows, binary_output=True)


def _deduced_shape(spec: InputView, size: int) -> tuple[int, ...]:
    shape = list(spec.shape)
    varying = [place for place, length in enumerate(shape) if length < 0]
    if spec.batched and len(varying) == 2:
        shape[varying.pop(0)] = 1
    if len(varying) > 1:
        raise BadRequest(
            f"the shape {list(spec.shape)} of input {spec.name!r} cannot be deduced from a raw request: "
            "more than one dimension varies; send it with its shape"
        )
    for place in varying:
        shape[place] = 1
        if spec.size_bytes:
            one = spec.size_bytes * int(np.prod(shape, dtype=object))
            shape[place] = max(1, size // one)
    return tuple(shape)
