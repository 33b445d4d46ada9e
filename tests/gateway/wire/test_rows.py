"""Predictions for rows of named values: the JSON of `/predict`."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.gateway.errors import BadRequest, NonfiniteAnswer, TooLarge
from driftgate.gateway.wire.inference import Array, InferenceRequest
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.rows import encode_predict, parse_predict
from driftgate.gateway.wire.tensor_views import Nonfinite, ParseLimits
from driftgate.models.errors import InvalidInput
from driftgate.models.schema.manifest import Column

from harness.protocol import LIMITS, PREDICTION_ID, manifest_of, result_of

VIEW = ModelView.of(
    manifest_of(
        [("x", "FP32", (-1, 2))],
        [("label", "BYTES", (-1,)), ("score", "FP32", (-1, 1)), ("p", "FP64", (-1, 2))],
        columns=[Column("age", "x", "FP32", 0), Column("sum", "x", "FP32", 1, missing=True)],
    )
)


def outputs_of(*score: float) -> dict[str, Array]:
    """What VIEW's model gives for as many rows as there are scores."""
    rows = len(score)
    return {
        "label": np.array(["é"] * rows, object),
        "score": np.array(score, np.float32).reshape(rows, 1),
        "p": np.full((rows, 2), 0.5),
    }


def encoded(request: InferenceRequest, nonfinite: Nonfinite, *score: float) -> tuple[str, int]:
    """The text of the answer and how many numbers JSON cannot say."""
    answer = encode_predict(request, result_of(**outputs_of(*score)), VIEW, nonfinite)
    assert answer.json_length is None
    return answer.body.decode(), answer.nonfinite


def test_rows_become_tensors() -> None:
    """Rows of named values are the request's tensors; null and an absent optional column are missing."""
    request = parse_predict(b'{"rows":[{"age":1,"sum":null},{"age":2}],"id":"7"}', VIEW, LIMITS)
    assert np.array_equal(request.inputs["x"], [[1, np.nan], [2, np.nan]], equal_nan=True)
    assert (request.rows, request.id, request.binary_output) == (2, "7", False)


def test_answer() -> None:
    """Outputs with one value per row are scalars, others lists; the client's id is echoed."""
    text, _ = encoded(InferenceRequest({}, 2, id="7"), "null", 1, 2)
    assert json.loads(text) == {
        "rows": [{"label": "é", "score": 1, "p": [0.5, 0.5]}, {"label": "é", "score": 2, "p": [0.5, 0.5]}],
        "model_version": "2",
        "prediction_id": PREDICTION_ID,
        "id": "7",
    }
    assert "id" not in json.loads(encoded(InferenceRequest({}, 1), "null", 1)[0])


@pytest.mark.parametrize(("policy", "spelled"), [("null", "null"), ("token", "NaN")])
def test_nonfinite_numbers(policy: Nonfinite, spelled: str) -> None:
    """Numbers that JSON cannot say are written as the policy wants and counted."""
    text, count = encoded(InferenceRequest({}, 2), policy, 1, np.nan)
    first, second = ('{"label":"é","score":' + score + ',"p":[0.5,0.5]}' for score in ("1.0", spelled))
    assert text.startswith('{"rows":[' + first + "," + second + "],")
    assert count == 1


def test_nonfinite_refused() -> None:
    """With the policy "error" the answer is refused and the output named."""
    with pytest.raises(NonfiniteAnswer, match="output 'score', index 1 is Infinity"):
        encoded(InferenceRequest({}, 2), "error", 1, np.inf)


def test_text_null_is_no_number() -> None:
    """A string output that says null is not counted as a number that JSON cannot say."""
    result = result_of(**(outputs_of(1) | {"label": np.array(["null"], object)}))
    assert encode_predict(InferenceRequest({}, 1), result, VIEW, "error").nonfinite == 0


def test_outputs_without_rows() -> None:
    """The outputs of a model that counts no rows are one row."""
    view = ModelView.of(manifest_of([("x", "FP32", (2,))], [("y", "FP32", (1, 2)), ("n", "INT64", ())]))
    result = result_of(y=np.array([[1, 2]], np.float32), n=np.array(5))
    body = json.loads(encode_predict(InferenceRequest({}, 1), result, view, "null").body)
    assert body["rows"] == [{"y": [[1, 2]], "n": 5}]


BAD: list[tuple[bytes, str]] = [
    (b"", "the request body is empty"),
    (b"[]", "the request body must be an object"),
    (b"{}", "the request has no 'rows'"),
    (b'{"rows":{}}', "'rows' of the request must be a list"),
    (b'{"rows":[1]}', "'rows[0]' of the request must be an object"),
    (b'{"rows":[]}', "at least one row"),
    (b'{"rows":[{"age":NaN}]}', "null means missing"),
    (b'{"rows":[{"age":1e400}]}', "beyond the range of doubles"),
    (b'{"rows":[{"age":"\xff"}]}', "not UTF-8 at byte 17"),
    (b'{"rows":[{}]}', "row 0: missing column 'age'"),
    (b'{"rows":[{"age":1},{"age":2,"Sum":3}]}', "unknown column 'Sum'; the model has columns 'age', 'sum'"),
    (b'{"rows":[{"age":"1"}]}', "row 0, column 'age': '1' is not a number"),
    (b'{"rows":[{"age":1}],"id":5}', "'id' of the request must be a string"),
    (b'{"rows":' + b"[" * 10**6, "'rows[0]' of the request must be an object"),
    (b'{"rows":[{"age":' + b"[" * 10**6, "nested too deeply"),
    (b'{"rows":[{"age":1},{"age": 2, "sum":3, "age": 2}]}', "row 1 has 'age' twice"),
    (b'{"rows":[{"age":1,"\\u0061ge":1}]}', "row 0 has 'age' twice"),
    (b'{"rows":[{"age":1}],"rows":[{"age":1}]}', "the request has 'rows' twice"),
]


@pytest.mark.parametrize(("body", "words"), BAD)
def test_bad_requests(body: bytes, words: str) -> None:
    """What is not a request for this model is refused, naming row and column."""
    with pytest.raises((BadRequest, InvalidInput)) as refused:
        parse_predict(body, VIEW, LIMITS)
    assert words in str(refused.value)


def test_colons_in_texts_and_unknown_members_are_no_names() -> None:
    """Whatever else has colons, a request that names everything once is read."""
    body = b'{"rows":[{"age":1,"sum":2}],"parameters":{"a\\":b":1},"at":"12:00"}'
    assert parse_predict(body, VIEW, LIMITS).rows == 1


def test_rows_over_the_limit() -> None:
    """More rows than the limit are refused as too large."""
    with pytest.raises(TooLarge, match="one request may have 1000"):
        parse_predict(b'{"rows":[' + b"{}," * 1000 + b"{}]}", VIEW, LIMITS)


def test_json_over_the_limit() -> None:
    """A body beyond the limit of JSON is refused before it is read."""
    with pytest.raises(TooLarge, match="12 bytes of JSON and strings and may have 11"):
        parse_predict(b'{"rows":[{}]', VIEW, ParseLimits(max_json_bytes=11))


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers())
)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["age", "sum", "x"]), values), max_size=3),
    junk=st.binary(max_size=9),
)
@settings(deadline=None)
def test_arbitrary_rows(rows: list[dict[str, Any]], junk: bytes) -> None:
    """Whatever the rows hold, they are tensors of the right shape or refused."""
    for body in (json.dumps({"rows": rows}).encode(), junk):
        try:
            request = parse_predict(body, VIEW, LIMITS)
        except (BadRequest, InvalidInput):
            continue
        assert request.inputs["x"].shape == (len(rows), 2)
