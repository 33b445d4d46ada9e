"""The protocols that predictions are spoken in, behind one seam: bytes to a request, a result to bytes."""

from collections.abc import Callable
from typing import NamedTuple

from driftgate.gateway.wire.computed import InferenceResult
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import encode_infer, parse_infer
from driftgate.gateway.wire.rows import encode_predict, parse_predict
from driftgate.gateway.wire.tensor_views import EncodedAnswer, Nonfinite, ParseLimits


class Contract(NamedTuple):
    """One protocol. `parse` gets the value of Inference-Header-Content-Length, or None."""

    parse: Callable[[bytes, int | None, ModelView, ParseLimits], InferenceRequest]
    encode: Callable[[InferenceRequest, InferenceResult, ModelView, Nonfinite], EncodedAnswer]


CONTRACTS = {
    "infer": Contract(parse_infer, encode_infer),
    "predict": Contract(lambda body, _, view, limits: parse_predict(body, view, limits), encode_predict),
}
"""By the last part of the path."""
