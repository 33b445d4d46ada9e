"""Answers that are filled into forms."""

import json

import numpy as np
import pytest

from driftgate.gateway.wire.answer_forms import MAX_ROWS
from driftgate.gateway.wire.computed import Computed, InferenceResult
from driftgate.gateway.wire.inference import InferenceRequest, RequestedOutput
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import encode_infer

from harness.protocol import PREDICTION_ID, manifest_of

OUTPUTS = [("a", "INT64", (-1,)), ("b", "FP32", (-1, 2)), ("c", "BYTES", (-1,))]
ARRAYS = {
    "a": np.arange(5),
    "b": np.arange(10, dtype="<f4").reshape(5, 2) / 4,
    "c": np.array(["q", "r", "s", "t", "u"], object),
}
WANTED = [
    None,
    (RequestedOutput("a"),),
    (RequestedOutput("b"), RequestedOutput("a")),
    (RequestedOutput("a", True), RequestedOutput("b", True)),
    (RequestedOutput("b", True), RequestedOutput("a")),
    (RequestedOutput("c", True), RequestedOutput("b", True)),
    (RequestedOutput("c"), RequestedOutput("a", True)),
]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(("first", "last"), [(0, None), (0, 1), (4, 5), (1, 4)])
def test_a_form_says_what_the_general_way_says(
    wanted: tuple[RequestedOutput, ...] | None, binary: bool, first: int, last: int | None
) -> None:
    """Whatever outputs are asked for and however, a form says what is said without one, but for the id."""
    view = ModelView.of(manifest_of(outputs=OUTPUTS))
    rows = 5 if last is None else last - first
    result = InferenceResult(2, PREDICTION_ID, Computed({}, ARRAYS), first, last)
    answers = []
    for identifier in ("", PREDICTION_ID):
        request = InferenceRequest({}, rows, identifier, outputs=wanted, binary_output=binary)
        body, length, _ = encode_infer(request, result, view, "null")
        document = json.loads(body[:length])
        document.pop("parameters", None)
        answers.append((document, body[length:] if length is not None else b"", length is None))
    assert answers[0] == answers[1]


def test_numbers_that_json_cannot_say_have_no_form() -> None:
    """With a form or without, what is not finite is counted and written as the policy says."""
    view = ModelView.of(manifest_of(outputs=[("y", "FP32", (-1,))]))
    for value, count in ((1.0, 0), (np.nan, 1), (2.0, 0)):
        result = InferenceResult(2, PREDICTION_ID, Computed({}, {"y": np.array([value], "<f4")}))
        assert encode_infer(InferenceRequest({}, 1), result, view, "null").nonfinite == count


def test_long_answers_have_no_form() -> None:
    """A request of many rows is answered, and no form is kept for its number of rows."""
    view = ModelView.of(manifest_of(outputs=[("y", "FP32", (-1,))]))
    rows = MAX_ROWS + 1
    result = InferenceResult(2, PREDICTION_ID, Computed({}, {"y": np.ones(rows, "<f4")}))
    document = json.loads(encode_infer(InferenceRequest({}, rows), result, view, "null").body)
    assert document["outputs"][0]["shape"] == [rows]
    assert len(view.forms) == 0


def test_an_array_of_another_type_than_declared_has_no_form() -> None:
    """Bytes are only given where they are of the declared type; else they are converted first."""
    view = ModelView.of(manifest_of(outputs=[("y", "FP32", (-1,))]))
    result = InferenceResult(2, PREDICTION_ID, Computed({}, {"y": np.array([1.5], "<f8")}))
    body, length, _ = encode_infer(InferenceRequest({}, 1, binary_output=True), result, view, "null")
    assert body[length:] == np.float32(1.5).tobytes()
