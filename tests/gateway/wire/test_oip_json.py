"""Requests of the Open Inference Protocol in JSON: what is read, and that nothing else gets through."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.gateway.errors import BadRequest, TooLarge, UnsupportedContent
from driftgate.gateway.wire.inference import Array
from driftgate.models.errors import InvalidInput
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import DATATYPES

from harness.protocol import answer_of, body_of, manifest_of, parsed, tensor

REFUSALS = (BadRequest, TooLarge, InvalidInput, UnsupportedContent)
ADDSUB = [("INPUT0", "FP32", (-1, 4)), ("INPUT1", "FP32", (-1, 4))]


def elements_of(datatype: str) -> st.SearchStrategy[Any]:
    """Plain values that a tensor of `datatype` holds exactly."""
    if datatype == "BYTES":
        return st.text(max_size=20)
    if datatype == "BOOL":
        return st.booleans()
    if datatype.startswith("FP"):
        width = {"FP16": 16, "FP32": 32, "FP64": 64}[datatype]
        return st.floats(allow_nan=False, allow_infinity=False, width=width)  # type: ignore[arg-type]
    limits = np.iinfo(DATATYPES[datatype].dtype)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Array]:
    """A datatype and an array of it, of one to three dimensions."""
    datatype = draw(st.sampled_from(list(DATATYPES)))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    count = int(np.prod(shape))
    values = draw(st.lists(elements_of(datatype), min_size=count, max_size=count))
    return datatype, np.array(values, DATATYPES[datatype].dtype).reshape(shape)


@given(drawn=tensors(), nested=st.booleans())
@settings(deadline=None, max_examples=300)
def test_json_round_trip(drawn: tuple[str, Array], nested: bool) -> None:
    """Every datatype comes out as it went in, flat or nested, and its answer spells the same values."""
    datatype, array = drawn
    shape = (-1,) * array.ndim
    manifest = manifest_of([("x", datatype, shape)], [("y", datatype, shape)])
    data = array.tolist() if nested else array.ravel().tolist()
    request = parsed(manifest, body_of(tensor("x", array.shape, datatype, data=data)))
    read = request.inputs["x"]
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert read.tolist() == array.tolist()
    assert request.rows == array.shape[0]
    output = answer_of(manifest, request, y=read)["outputs"][0]
    assert output == {
        "name": "y",
        "datatype": datatype,
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }


@given(body=st.binary(max_size=60), header_length=st.none() | st.integers(-2, 80))
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes(body: bytes, header_length: int | None) -> None:
    """No bytes whatever raise anything but a refusal."""
    with pytest.raises(REFUSALS):
        parsed(manifest_of([("x", "FP32", (-1, 400))]), body, header_length)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(
    field=st.sampled_from(["name", "shape", "datatype", "data", "parameters"]),
    value=json_values,
    datatype=st.sampled_from(list(DATATYPES)),
)
@settings(deadline=None, max_examples=500)
def test_arbitrary_values(field: str, value: Any, datatype: str) -> None:
    """Any JSON in the place of any field is read as numpy would, or refused."""
    given_tensor = tensor(datatype=datatype, data=[0, 1, 1, 0]) | {field: value}
    manifest = manifest_of([("x", datatype, (-1, 4))])
    try:
        read = parsed(manifest, body_of(given_tensor)).inputs["x"]
    except REFUSALS:
        return
    expected = np.array(given_tensor["data"], DATATYPES[datatype].dtype).reshape(given_tensor["shape"])
    assert read.tolist() == expected.tolist()


@given(place=st.integers(0, 200), change=st.binary(max_size=4), cut=st.integers(0, 3))
@settings(deadline=None, max_examples=500)
def test_damaged_requests(place: int, change: bytes, cut: int) -> None:
    """A request with some bytes replaced is still a request, or refused."""
    body = body_of(tensor(), outputs=[{"name": "y"}], parameters={"timeout": 5}, id="7")
    damaged = body[:place] + change + body[place + cut :]
    try:
        request = parsed(manifest_of(), damaged)
    except REFUSALS:
        return
    assert request.inputs["x"].shape == (request.rows, 4)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63)])
def test_exact_integers(value: int) -> None:
    """Whole numbers past 2^53 arrive exactly."""
    manifest = manifest_of([("x", "INT64", (-1,))])
    read = parsed(manifest, body_of(tensor("x", [1], "INT64", data=[value]))).inputs["x"]
    assert read.tolist() == [value]


def test_missing_values() -> None:
    """null becomes NaN in float columns and the declared token in string columns that allow it."""
    manifest = manifest_of(
        [("x", "FP32", (-1, 2)), ("city", "BYTES", (-1, 1))],
        columns=[
            Column("age", "x", "FP32", 0, missing=True),
            Column("sum", "x", "FP32", 1),
            Column("city", "city", "BYTES", missing=True, missing_token="?"),  # noqa: S106 - not a password
        ],
    )
    city = tensor("city", [2, 1], "BYTES", data=[None, "Lyon"])
    read = parsed(manifest, body_of(tensor("x", [2, 2], data=[None, 1, 5, 6]), city)).inputs
    assert np.array_equal(read["x"], np.array([[np.nan, 1], [5, 6]], np.float32), equal_nan=True)
    assert read["city"].tolist() == [["?"], ["Lyon"]]
    with pytest.raises(InvalidInput, match="input 'x', row 1, column 'sum': null stands for a missing"):
        parsed(manifest, body_of(tensor("x", [2, 2], data=[None, 1, 5, None]), city))


def test_duplicate_keys() -> None:
    """Of duplicate keys in one object the last wins."""
    body = b'{"inputs":[{"name":"?","name":"x","shape":[1,4],"datatype":"FP32","data":[],"data":[1,2,3,4]}]}'
    assert parsed(manifest_of(), body).inputs["x"].tolist() == [[1, 2, 3, 4]]


def test_parameters() -> None:
    """Known parameters take effect; unknown ones and unknown keys are ignored."""
    parameters = {"timeout": 5_000, "priority": 1, "sequence_id": 42, "sequence_start": True, "k": "v"}
    request = parsed(manifest_of(), body_of(tensor(), id="42", parameters=parameters, model_name="other"))
    assert (request.timeout_us, request.sequence_id, request.id) == (5_000, "42", "42")
    assert not request.binary_output
    assert request.outputs is None


def test_inputs_in_signature_order() -> None:
    """Inputs come in the signature's order, however the client ordered them."""
    request = parsed(manifest_of(ADDSUB), body_of(tensor("INPUT1"), tensor("INPUT0")))
    assert list(request.inputs) == ["INPUT0", "INPUT1"]


def test_empty_optional_fields() -> None:
    """null, "" and [] mean that an optional field is not given."""
    for nothing in ({"id": None, "outputs": None, "parameters": None}, {"id": "", "outputs": []}):
        request = parsed(manifest_of(), body_of(tensor(parameters=None), **nothing))
        assert (request.id, request.outputs) == ("", None)
