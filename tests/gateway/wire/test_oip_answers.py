"""Answers of the Open Inference Protocol in JSON."""

from typing import Any

import numpy as np
import pytest

from driftgate.gateway.errors import NonfiniteAnswer
from driftgate.gateway.wire.inference import InferenceRequest, RequestedOutput
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import encode_infer
from driftgate.models.schema.manifest import Task, TaskOutput

from harness.protocol import PREDICTION_ID, answer_of, body_of, manifest_of, parsed, result_of, tensor

ADDSUB = [("INPUT0", "FP32", (-1, 4)), ("INPUT1", "FP32", (-1, 4))]


def test_answer_with_a_client_id() -> None:
    """A client's id is echoed and the prediction id stands among the top-level parameters."""
    document = answer_of(manifest_of(), InferenceRequest({}, 1, id="42"), y=np.ones((1, 4), np.float32))
    assert document["id"] == "42"
    assert document["parameters"] == {"prediction_id": PREDICTION_ID}
    assert (document["model_name"], document["model_version"]) == ("m", "2")
    assert "parameters" not in document["outputs"][0]


def test_answer_without_an_id() -> None:
    """Without a client's id the prediction id is the id."""
    document = answer_of(manifest_of(), InferenceRequest({}, 1), y=np.ones((1, 4), np.float32))
    assert document["id"] == PREDICTION_ID
    assert "parameters" not in document


def test_requested_outputs() -> None:
    """Only the outputs asked for are given, in the order asked."""
    manifest = manifest_of(outputs=[("a", "INT64", (-1,)), ("b", "BOOL", (-1,)), ("c", "BYTES", (-1,))])
    body = body_of(tensor(), outputs=[{"name": "c"}, {"name": "a"}])
    given_outputs = {"a": np.array([2**53 + 1]), "b": np.array([True]), "c": np.array(["é"], object)}
    document = answer_of(manifest, parsed(manifest, body), **given_outputs)
    assert [(output["name"], output["data"]) for output in document["outputs"]] == [
        ("c", ["é"]),
        ("a", [2**53 + 1]),
    ]


@pytest.mark.parametrize(
    ("policy", "text"),
    [("null", b'"data":[1.0,null,null,null]'), ("token", b'"data":[1.0,NaN,Infinity,-Infinity]')],
)
def test_nonfinite_numbers(policy: Any, text: bytes) -> None:
    """Numbers that JSON cannot say are written as the policy wants and counted."""
    result = result_of(y=np.array([[1, np.nan, np.inf, -np.inf]], np.float32))
    encoded = encode_infer(InferenceRequest({}, 1), result, ModelView.of(manifest_of()), policy)
    assert text in encoded.body
    assert encoded.nonfinite == 3


def test_nonfinite_classes_are_counted() -> None:
    """The top classes of an output are text, and still tell that it held what is no number."""
    request = parsed(
        manifest_of(), body_of(tensor(), outputs=[{"name": "y", "parameters": {"classification": 1}}])
    )
    result = result_of(y=np.array([[1, np.nan, np.inf, 0]], np.float32))
    assert encode_infer(request, result, ModelView.of(manifest_of()), "error").nonfinite == 2


def test_nonfinite_refused() -> None:
    """With the policy "error" the answer is refused and the output named."""
    result = result_of(y=np.array([[1, np.nan, 1, 1]]))
    with pytest.raises(NonfiniteAnswer, match="output 'y', index 1 is NaN"):
        encode_infer(InferenceRequest({}, 1), result, ModelView.of(manifest_of()), "error")


def test_classification() -> None:
    """Top classes are text, largest first, with labels where the output is probabilities."""
    manifest = manifest_of(
        outputs=[("p", "FP32", (-1, 3)), ("n", "INT64", (-1, 3))],
        task=Task("classification", (TaskOutput("p", "probabilities"),), classes=("no", "yes", 3)),
    )
    top = {"parameters": {"classification": 2}}
    request = parsed(manifest, body_of(tensor(), outputs=[{"name": "p"} | top, {"name": "n"} | top]))
    outputs = answer_of(manifest, request, p=np.array([[0.5, 2, 0.5]], np.float32), n=np.array([[7, 8, 9]]))[
        "outputs"
    ]
    assert outputs[0] == {
        "name": "p",
        "datatype": "BYTES",
        "shape": [1, 2],
        "data": ["2.000000:1:yes", "0.500000:0:no"],
    }
    assert outputs[1]["data"] == ["9:2", "8:1"]


def test_classification_asks_for_more_than_there_is() -> None:
    """More classes than a row has are all of them; NaN comes last."""
    request = InferenceRequest({}, 1, outputs=(RequestedOutput("y", classification=10**12),))
    document = answer_of(manifest_of(), request, y=np.array([[np.nan, 1, 2, 3]], np.float32))
    assert document["outputs"][0]["data"] == ["3.000000:3", "2.000000:2", "1.000000:1", "nan:0"]


SUM = '{"name":"OUTPUT0","datatype":"FP32","shape":[1,4],"data":[2.0,3.0,4.0,5.0]}'
DIFFERENCE = '{"name":"OUTPUT1","datatype":"FP32","shape":[1,4],"data":[0.0,1.0,2.0,3.0]}'
TOP_TWO = '{"name":"OUTPUT0","datatype":"BYTES","shape":[1,2],"data":["5.000000:3","4.000000:2"]}'
RECORDED: list[tuple[dict[str, Any], str]] = [
    ({}, f"[{SUM},{DIFFERENCE}]"),
    ({"outputs": [{"name": "OUTPUT1"}]}, f"[{DIFFERENCE}]"),
    ({"outputs": [{"name": "OUTPUT0", "parameters": {"classification": 2}}]}, f"[{TOP_TWO}]"),
    ({"parameters": {"priority": 1, "timeout": 1000000, "k": "v"}}, f"[{SUM},{DIFFERENCE}]"),
]


@pytest.mark.parametrize(("more", "outputs"), RECORDED)
def test_recorded_answers(more: dict[str, Any], outputs: str) -> None:
    """The outputs are, byte for byte, those that the field's reference server gave to the same request."""
    manifest = manifest_of(ADDSUB, [("OUTPUT0", "FP32", (-1, 4)), ("OUTPUT1", "FP32", (-1, 4))])
    body = body_of(tensor("INPUT0"), tensor("INPUT1", data=[[1, 1, 1, 1]]), id="42", **more)
    request = parsed(manifest, body, len(body))
    a, b = request.inputs["INPUT0"], request.inputs["INPUT1"]
    result = result_of(OUTPUT0=a + b, OUTPUT1=a - b)
    encoded = encode_infer(request, result, ModelView.of(manifest), "null")
    assert encoded.body.decode().endswith(f'"outputs":{outputs}}}')
