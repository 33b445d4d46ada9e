"""Requests that are read by what was read before."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.gateway.errors import BadRequest
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.gateway.wire.known_requests import MAX_KNOWN
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import parse_infer
from driftgate.gateway.wire.tensor_views import ParseLimits
from driftgate.models.errors import InvalidInput

from harness.protocol import body_of, manifest_of, tensor

LIMITS = ParseLimits()
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])
NUMBERS = st.lists(st.floats(-1e39, 1e39) | st.integers(-1000, 1000), min_size=4, max_size=4)


def outcome(view: ModelView, body: bytes, end: int | None = None) -> Any:
    """Return what a body is read as, or the error that refuses it, as something to compare."""
    try:
        request = parse_infer(body, end, view, LIMITS)
    except (BadRequest, InvalidInput) as error:
        return type(error), str(error)
    plain = {name: (array.tolist(), array.dtype, array.shape) for name, array in request.inputs.items()}
    rest = request.rows, request.id, request.outputs, request.binary_output, request.timeout_us
    return plain, rest, request.sequence_id


def read_alike(first: bytes, second: bytes, end: int | None = None) -> None:
    """Check that a body is read the same whether or not another one was read before it."""
    knowing = ModelView.of(manifest_of())
    outcome(knowing, first, end)
    assert outcome(knowing, second, end) == outcome(ModelView.of(manifest_of()), second, end)


@settings(max_examples=60, deadline=None)
@given(first=NUMBERS, second=NUMBERS, spaces=SPACES, last=st.booleans(), extra=st.booleans())
def test_a_known_request_is_read_as_an_unknown_one(
    first: list[float], second: list[float], spaces: tuple[str, str], last: bool, extra: bool
) -> None:
    """However a client writes its JSON, its second request means what it would mean as the first."""
    bodies = []
    for values in (first, second):
        one = tensor(data=values)
        if not last:
            one = {"data": one.pop("data"), **one}
        more = {"outputs": [{"name": "y"}], "parameters": {"timeout": 7, "sequence_id": "s"}} if extra else {}
        bodies.append(json.dumps({"inputs": [one], **more}, separators=spaces).encode())
    read_alike(bodies[0], bodies[1])


@pytest.mark.parametrize(
    "data",
    ["[1,2,3]", "[1,2,3,4,5]", "[[1,2,3,4]]", "[1,2,3,null]", '[1,2,3,"4"]', "[1,2,3,4", "[1,2,3,4]]", "7"],
)
def test_odd_data_is_judged_as_ever(data: str) -> None:
    """What a known request could not hold is accepted or refused in the words of an unknown one."""
    text = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":%s}]}'
    read_alike((text % "[1,2,3,4]").encode(), (text % data).encode())


@pytest.mark.parametrize(
    "head",
    [
        r'{"note":"a \"data\":[1,2,3,4]","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":%s}]}',
        r'{"more":{"data":[1,2,3,4]},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":%s}]}',
        r'{"inputs":[{"data":[9,9,9,9],"name":"x","shape":[1,4],"datatype":"FP32","data":%s}]}',
        r'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":%s}],"data":[1,2,3,4]}',
    ],
)
def test_other_places_called_data_are_not_mistaken(head: str) -> None:
    """Text that only looks like the elements of the tensor is never read as them."""
    first, second = (head.replace("%s", data).encode() for data in ("[1,2,3,4]", "[5,6,7,8]"))
    read_alike(first, second)
    assert parse_infer(second, None, ModelView.of(manifest_of()), LIMITS).inputs["x"].tolist() == [
        [5, 6, 7, 8]
    ]


def binary(values: list[float], rows: int = 1) -> tuple[bytes, int]:
    """Return a request with its tensor as bytes, and where its JSON ends."""
    raw = np.array(values, "<f4").tobytes()
    one = {"name": "x", "shape": [rows, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16 * rows}}
    head = json.dumps({"inputs": [one], "parameters": {"binary_data_output": True}}).encode()
    return head + raw, len(head)


def test_known_binary_requests() -> None:
    """Bytes behind known JSON are read as such, and refused where there are too few or too many."""
    first, end = binary([1, 2, 3, 4])
    second, _ = binary([5, 6, 7, 8])
    for body in (second, second[:-1], second + b"\0", first):
        read_alike(first, body, end)


def test_requests_with_ids_are_not_remembered() -> None:
    """A client that numbers its requests fills no memory, and gets each id back."""
    view = ModelView.of(manifest_of())
    ids = [parse_infer(body_of(tensor(), id=str(number)), None, view, LIMITS).id for number in range(3)]
    assert ids == ["0", "1", "2"]
    assert len(view.known) == 0


def test_what_is_remembered_is_bounded() -> None:
    """However many kinds of requests there are, only so many are remembered."""
    view = ModelView.of(manifest_of())
    for number in range(MAX_KNOWN + 1):
        parse_infer(body_of(tensor(), parameters={"timeout": number}), None, view, LIMITS)
    assert len(view.known) <= MAX_KNOWN


def test_a_known_request_is_its_own() -> None:
    """Two requests from one memory share no arrays."""
    view = ModelView.of(manifest_of())
    requests: list[InferenceRequest] = [
        parse_infer(body_of(tensor(data=[number] * 4)), None, view, LIMITS) for number in range(3)
    ]
    assert [request.inputs["x"][0, 0] for request in requests] == [0, 1, 2]


TRICKY = st.text(max_size=8) | st.sampled_from(
    ['"data":', '"],"data":[', '},{"name":"x"', "]", "\\", "[7,[1]]", ',"datatype":"BYTES","data":["a"]}']
)


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(TRICKY, min_size=2, max_size=2), first=st.booleans(), spaces=SPACES)
def test_texts_beside_numbers_are_read_alike(keys: list[str], first: bool, spaces: tuple[str, str]) -> None:
    """Whatever stands in the texts of a second request, it is read as if there had been no first."""
    inputs = [("user", "BYTES", (-1, 1)), ("x", "FP32", (-1, 4))]
    manifest = manifest_of(inputs if first else inputs[::-1])
    bodies = []
    for key, number in zip(keys, (1.5, 2.5), strict=True):
        user = {"name": "user", "shape": [1, 1], "datatype": "BYTES", "data": [key]}
        both = [user, tensor(data=[number] * 4)]
        body = {"inputs": both if first else both[::-1]}
        bodies.append(json.dumps(body, separators=spaces).encode())
    knowing = ModelView.of(manifest)
    outcome(knowing, bodies[0])
    assert outcome(knowing, bodies[1]) == outcome(ModelView.of(manifest), bodies[1])


def test_requests_with_keys_become_known() -> None:
    """A matrix and a key, as a client by key sends them, are read by what is known of them."""
    view = ModelView.of(manifest_of([("x", "FP32", (-1, 4)), ("user", "BYTES", (-1, 1))]))
    user = {"name": "user", "shape": [1, 1], "datatype": "BYTES", "data": ["ann"]}
    body = json.dumps({"inputs": [tensor(data=[1, 2, 3, 4]), user]}).encode()
    assert view.known.read_json(body) is None
    outcome(view, body)
    known = view.known.read_json(body.replace(b"ann", b"bob"))
    assert known is not None
    assert known.inputs["user"].tolist() == [["bob"]]
