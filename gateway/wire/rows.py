"""Predictions for rows of named values: `{"rows": [{column: value}]}` to rows of named outputs. Pure."""

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from driftgate.gateway.errors import BadRequest, TooLarge
from driftgate.gateway.wire.computed import InferenceResult
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.gateway.wire.json_text import count_nonfinite, json_of, refuse_nonfinite, texts_of, token
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_envelope import UNDECODABLE, check_utf8, explained
from driftgate.gateway.wire.oip_json import checked_id
from driftgate.gateway.wire.tensor_views import EncodedAnswer, Nonfinite, ParseLimits


class _Rows(Struct, gc=False):
    rows: list[dict[str, Any]]
    id: str | None = None


_DECODER = msgspec.json.Decoder(_Rows)


def parse_predict(body: bytes, view: ModelView, limits: ParseLimits) -> InferenceRequest:
    """Return the checked request in `body`.

    Raises BadRequest where it is not `{"rows": [{…}], "id"?}`, InvalidInput naming row and column of what the
    model's columns do not allow, TooLarge beyond `limits`.
    """
    limits.check_text(len(body))
    check_utf8(body)
    try:
        asked = _DECODER.decode(body)
    except UNDECODABLE as error:
        raise explained(error, body) from None
    if len(asked.rows) > limits.max_rows:
        raise TooLarge(f"the request has {len(asked.rows)} rows; one request may have {limits.max_rows}")
    # The decoder keeps the last of equal names and says nothing; more colons than names call for a look.
    names = sum(map(len, asked.rows)) + 1 + (asked.id is not None)
    if body.count(b":") > names and body.count(b'":') > names:
        _refuse_repeated(body)
    identifier = checked_id(asked.id) if asked.id else ""
    return InferenceRequest(view.rows.feeds(asked.rows), len(asked.rows), identifier)


def _refuse_repeated(body: bytes) -> None:
    """Raise BadRequest where the request or a row of it has a name twice: nobody knows which one is meant."""
    with suppress(RecursionError):
        asked = json.loads(body, object_pairs_hook=list, parse_int=str, parse_float=str)
        _check_names("the request", asked)
        for number, row in enumerate(dict(asked)["rows"]):
            _check_names(f"row {number}", row)


def _check_names(place: str, members: list[tuple[str, Any]]) -> None:
    counts = Counter(name for name, _ in members)
    repeated = next((name for name, count in counts.items() if count > 1), None)
    if repeated is not None:
        raise BadRequest(f"{place} has {repeated[:140]!r} twice")


def encode_predict(
    request: InferenceRequest, result: InferenceResult, view: ModelView, nonfinite: Nonfinite
) -> EncodedAnswer:
    """Return `{"rows": [{output: value}], "model_version", "prediction_id", "id"?}`.

    An output with one value per row gives that value, others a list per row, nested like the tensor. Numbers
    that JSON cannot say are treated as in `numbers_as_json`.
    """
    columns = [_per_row(result.array(name), view, name) for name in view.output_names]
    rows = [dict(zip(view.output_names, values, strict=True)) for values in zip(*columns, strict=True)]
    head = {"model_version": str(result.version), "prediction_id": result.prediction_id}
    tail = json_of(head | ({"id": request.id} if request.id else {}))[1:]
    text, count = _rows_as_json(rows, result, view, nonfinite)
    return EncodedAnswer(b'{"rows":%b,%b' % (text, tail), None, count)


def _per_row(array: Array, view: ModelView, name: str) -> list[Any]:
    spec = view.outputs[name]
    if spec.datatype == "BYTES":
        array = np.array(texts_of(array), object).reshape(array.shape)
    if not spec.batched:
        return [array.tolist()]
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    values: list[Any] = array.tolist()
    return values


def _rows_as_json(
    rows: list[dict[str, Any]], result: InferenceResult, view: ModelView, nonfinite: Nonfinite
) -> tuple[bytes, int]:
    text = json_of(rows)
    count = _count_nonfinite(result, view) if b"null" in text else 0
    if not count:
        return text, 0
    if nonfinite == "error":
        for name in view.output_names:
            if result.array(name).dtype.kind == "f":
                refuse_nonfinite(result.array(name).ravel().tolist(), name)
    return (_with_tokens(rows).encode() if nonfinite == "token" else text), count


def _count_nonfinite(result: InferenceResult, view: ModelView) -> int:
    return sum(count_nonfinite(result.array(name)) for name in view.output_names)


def _with_tokens(value: Any) -> str:
    if isinstance(value, float):
        return token(value)
    if isinstance(value, list):
        return f"[{','.join(map(_with_tokens, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json_of(k).decode()}:{_with_tokens(v)}' for k, v in value.items())}}}"
    return json_of(value).decode()
