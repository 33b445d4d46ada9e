"""Binary tensors of the Open Inference Protocol, checked against the field's own client."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from driftgate.gateway.errors import BadRequest, TooLarge
from driftgate.gateway.wire.inference import Array, InferenceRequest, RequestedOutput
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import encode_infer
from driftgate.models.errors import InvalidInput
from driftgate.models.schema.manifest import Manifest
from driftgate.models.schema.signature import DATATYPES

from harness.protocol import body_of, manifest_of, parsed, result_of, tensor

MIXED = [("t", "BYTES", (-1, 1)), ("f", "FP32", (-1, 3)), ("b", "BOOL", (-1, 1)), ("n", "INT64", (-1, 2))]


def client_input(name: str, array: Array, datatype: str, binary: bool = True) -> InferInput:
    """What a user of the client makes of an array."""
    return InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)


def client_body(*inputs: InferInput, **options: Any) -> tuple[bytes, int | None]:
    """The body that the client sends, and the length of its JSON."""
    body, length = InferenceServerClient.generate_request_body(list(inputs), **options)
    return bytes(body), length


def binary_body(data: bytes, size: Any = None, **fields: Any) -> tuple[bytes, int]:
    """A request with one binary tensor, and the length of its JSON."""
    parameters = {"binary_data_size": len(data) if size is None else size}
    described = tensor(parameters=parameters) | fields
    del described["data"]
    json = body_of(described)
    return json + data, len(json)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, Array]:
    """A datatype and an array of it; NaN and infinities are welcome."""
    datatype = draw(st.sampled_from(list(DATATYPES)))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    if datatype == "BYTES":
        count = int(np.prod(shape))
        texts = draw(st.lists(st.text(max_size=9), min_size=count, max_size=count))
        return datatype, np.array(texts, object).reshape(shape)
    array: Array = draw(hnp.arrays(DATATYPES[datatype].dtype, tuple(shape)))
    return datatype, array


@given(drawn=arrays())
@settings(deadline=None, max_examples=300)
def test_round_trip_with_the_client(drawn: tuple[str, Array]) -> None:
    """Whatever the client encodes arrives equal to the bit, and the client reads the answer back the same."""
    datatype, array = drawn
    manifest = manifest_of([("x", datatype, (-1,) * array.ndim)], [("y", datatype, (-1,) * array.ndim)])
    request = parsed(manifest, *client_body(client_input("x", array, datatype)))
    read = request.inputs["x"]
    assert (read.dtype, read.shape, request.binary_output) == (array.dtype, array.shape, True)
    assert read.tobytes() == array.tobytes() if datatype != "BYTES" else read.tolist() == array.tolist()
    encoded = encode_infer(request, result_of(y=read), ModelView.of(manifest), "error")
    answer = InferenceServerClient.parse_response_body(encoded.body, header_length=encoded.json_length)
    back = answer.as_numpy("y")
    if datatype == "BYTES":
        assert [text.decode() for text in back.ravel()] == array.ravel().tolist()
    else:
        assert back.tobytes() == array.tobytes()


def mixed_feeds() -> dict[str, Array]:
    """Two rows for a model with an input of every kind."""
    return {
        "t": np.array([["é"], [""]], object),
        "f": np.array([[1, 2, np.nan], [4, 5, np.inf]], np.float32),
        "b": np.array([[True], [False]]),
        "n": np.array([[2**53 + 1, -1], [0, 5]]),
    }


@pytest.mark.parametrize("json_inputs", [(), ("t",), ("n",), ("b", "t"), ("b", "n", "t")])
def test_mixed_json_and_binary(json_inputs: tuple[str, ...]) -> None:
    """Inputs in JSON and in binary may stand in one request; bytes follow in the order of the inputs."""
    feeds = mixed_feeds()
    datatypes = {name: datatype for name, datatype, _ in MIXED}
    inputs = [client_input(name, feeds[name], datatypes[name], name not in json_inputs) for name in "nbft"]
    request = parsed(manifest_of(MIXED), *client_body(*inputs))
    assert list(request.inputs) == ["t", "f", "b", "n"]
    for name, array in feeds.items():
        assert np.array_equal(request.inputs[name], array, equal_nan=name == "f")


def test_per_output_choice() -> None:
    """A requested output says for itself whether it is binary; only then has it parameters."""
    manifest = manifest_of(outputs=[("a", "FP32", (-1,)), ("b", "FP32", (-1,))])
    outputs = [InferRequestedOutput("a", binary_data=False), InferRequestedOutput("b", binary_data=True)]
    body, length = client_body(client_input("x", np.ones((1, 4), np.float32), "FP32"), outputs=outputs)
    request = parsed(manifest, body, length)
    assert request.outputs == (RequestedOutput("a", False), RequestedOutput("b", True))
    encoded = encode_infer(
        request, result_of(a=np.array([1.0]), b=np.array([2], np.float32)), ModelView.of(manifest), "null"
    )
    answer = InferenceServerClient.parse_response_body(encoded.body, header_length=encoded.json_length)
    assert answer.get_output("a") == {"name": "a", "datatype": "FP32", "shape": [1], "data": [1.0]}
    assert answer.get_output("b")["parameters"] == {"binary_data_size": 4}
    assert answer.as_numpy("b").tolist() == [2]


def test_binary_classification() -> None:
    """Top classes may be asked for in binary."""
    request = InferenceRequest({}, 1, outputs=(RequestedOutput("y", binary=True, classification=1),))
    result = result_of(y=np.array([[1, 2, 3, 0]], np.float32))
    encoded = encode_infer(request, result, ModelView.of(manifest_of()), "null")
    assert encoded.json_length is not None
    assert encoded.body[encoded.json_length :] == struct.pack("<I", 10) + b"3.000000:2"


def test_no_copy_where_aligned() -> None:
    """Numbers are a view of the body where they lie aligned, and aligned in any case."""
    data = np.arange(4, dtype=np.float32).tobytes()
    for padding in range(4):
        body, length = binary_body(data, id="x" * padding)
        read = parsed(manifest_of(), body, length).inputs["x"]
        assert read.flags.aligned
        assert np.shares_memory(read, np.frombuffer(body, np.uint8)) == (length % 4 == 0)
        assert read.tolist() == [[0, 1, 2, 3]]


SIXTEEN = bytes(16)
BOTH = body_of(tensor(parameters={"binary_data_size": 0}))
BAD_BINARY: dict[str, tuple[bytes, int | None, str]] = {
    "short body": (*binary_body(SIXTEEN[:12], 16), "size for input 'x', expecting 4 additional bytes"),
    "one short": (*binary_body(SIXTEEN[:15]), "expecting 1 additional bytes"),
    "one long": (*binary_body(SIXTEEN + b"\0"), "unexpected additional input data"),
    "left over": (*binary_body(SIXTEEN + b"abc", 16), "unexpected additional input data: 3 bytes follow"),
    "negative": (*binary_body(SIXTEEN, -16), "binary_data_size must not be negative"),
    "2^63": (*binary_body(SIXTEEN, 2**63), "unexpected size for input 'x', expecting"),
    "past 2^64": (*binary_body(SIXTEEN, 2**70), "unexpected size for input 'x', expecting"),
    "text size": (*binary_body(SIXTEEN, "16"), "binary_data_size' of the request must be a whole number"),
    "both": (BOTH, None, "both data and binary_data_size"),
    "neither": (*binary_body(b"", parameters={}), "neither data nor the parameter binary_data_size"),
    "shape": (*binary_body(SIXTEEN, shape=[2, 4]), "expecting 16 additional bytes: shape [2, 4] of FP32"),
    "splits a token": (binary_body(SIXTEEN)[0], binary_body(SIXTEEN)[1] - 3, "not valid JSON"),
    "header past the body": (SIXTEEN, 17, "inference header size should be in range (0, 16), got: 17"),
    "negative header": (SIXTEEN, -1, "inference header size should be in range (0, 16), got: -1"),
    "no header": (binary_body(SIXTEEN)[0], None, "not valid JSON at byte"),
}


@pytest.mark.parametrize(("body", "length", "words"), BAD_BINARY.values(), ids=BAD_BINARY.keys())
def test_bad_binary(body: bytes, length: int | None, words: str) -> None:
    """Bytes that do not fit their description are refused by the name of the input."""
    with pytest.raises(BadRequest) as refused:
        parsed(manifest_of(), body, length)
    assert words in str(refused.value)


def texts(*encoded: bytes) -> bytes:
    """Strings as the binary extension carries them."""
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


BAD_STRINGS = {
    "prefix past the end": (texts(b"ab") + struct.pack("<I", 3) + b"ab", "index 1: this string goes past"),
    "huge prefix": (texts(b"ab") + b"\xff\xff\xff\xff", "index 1: this string goes past"),
    "prefix cut": (texts(b"abcd") + b"\0", "index 1: this string goes past"),
    "no room": (b"\0\0\0", "2 strings take at least 8 bytes and 3 are given"),
    "left over": (texts(b"a", b"b", b"c"), "unexpected additional input data for input 'x': 5 bytes"),
    "not utf-8": (texts(b"a", b"\xff"), "index 1: this string is not UTF-8"),
}


@pytest.mark.parametrize(("data", "words"), BAD_STRINGS.values(), ids=BAD_STRINGS.keys())
def test_bad_strings(data: bytes, words: str) -> None:
    """Length prefixes are held against the tensor's bytes, and strings are UTF-8."""
    body, length = binary_body(data, shape=[2], datatype="BYTES")
    with pytest.raises((BadRequest, InvalidInput)) as refused:
        parsed(manifest_of([("x", "BYTES", (-1,))]), body, length)
    assert words in str(refused.value)


def test_bad_booleans() -> None:
    """A BOOL is the byte 0 or 1."""
    body, length = binary_body(b"\0\1\2\1", shape=[4], datatype="BOOL")
    with pytest.raises(InvalidInput, match="input 'x', index 2: byte 2 is not a BOOL"):
        parsed(manifest_of([("x", "BOOL", (-1,))]), body, length)


def test_rows_over_the_limit() -> None:
    """Too many rows are refused before their bytes are looked at."""
    with pytest.raises(TooLarge):
        parsed(manifest_of(), *binary_body(b"", shape=[1001, 4]))


RAW: dict[str, tuple[tuple[int, ...], str, int, tuple[int, ...]]] = {
    "rows": ((-1, 4), "FP32", 32, (2, 4)),
    "fixed": ((2, 2), "FP32", 16, (2, 2)),
    "rows and one more": ((-1, -1), "FP64", 24, (1, 3)),
    "one varies": ((2, -1), "INT16", 12, (2, 3)),
    "scalar": ((), "INT64", 8, ()),
}


@pytest.mark.parametrize(("shape", "datatype", "size", "deduced"), RAW.values(), ids=RAW.keys())
def test_raw_requests(shape: tuple[int, ...], datatype: str, size: int, deduced: tuple[int, ...]) -> None:
    """A body that is nothing but a tensor gets the shape that its size leaves."""
    request = parsed(manifest_of([("x", datatype, shape)]), bytes(size), 0)
    assert request.inputs["x"].shape == deduced
    assert request.binary_output


@pytest.mark.parametrize("shape", [(-1,), (1,), (-1, 1)])
def test_raw_text(shape: tuple[int, ...]) -> None:
    """A raw request to a BYTES input is its one string."""
    request = parsed(manifest_of([("x", "BYTES", shape)]), "é".encode(), 0)
    assert request.inputs["x"].ravel().tolist() == ["é"]


BAD_RAW: dict[str, tuple[Manifest, bytes, str]] = {
    "two inputs": (manifest_of(MIXED), b"", "Raw request must only have 1 input (found 1)"),
    "not whole": (manifest_of(), bytes(20), "unexpected additional input data"),
    "empty": (manifest_of(), b"", "expecting 16 additional bytes"),
    "two strings": (manifest_of([("x", "BYTES", (-1, 2))]), b"ab", "input 'x' takes 2 per row"),
    "two vary": (manifest_of([("x", "FP32", (2, -1, -1))]), bytes(8), "more than one dimension varies"),
    "three vary": (manifest_of([("x", "FP32", (-1, -1, -1))]), bytes(8), "more than one dimension varies"),
}


@pytest.mark.parametrize(("manifest", "body", "words"), BAD_RAW.values(), ids=BAD_RAW.keys())
def test_bad_raw_requests(manifest: Manifest, body: bytes, words: str) -> None:
    """A raw body whose shape cannot be deduced is refused."""
    with pytest.raises(BadRequest) as refused:
        parsed(manifest, body, 0)
    assert words in str(refused.value)


@given(
    body=st.binary(max_size=80),
    length=st.integers(-1, 90),
    datatype=st.sampled_from(list(DATATYPES)),
    size=st.integers(-1, 90),
    rows=st.integers(-1, 3),
)
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes(body: bytes, length: int, datatype: str, size: int, rows: int) -> None:
    """Any bytes behind a well-formed description are a tensor of its shape, or refused."""
    described, start = binary_body(body, size, shape=[rows, 2], datatype=datatype)
    manifest = manifest_of([("x", datatype, (-1, 2))])
    for sent, at in ((described, start), (body, length), (body, 0)):
        try:
            read = parsed(manifest, sent, at).inputs["x"]
        except (BadRequest, InvalidInput, TooLarge):
            continue
        assert read.shape[1:] == (2,)
        assert read.dtype == DATATYPES[datatype].dtype
