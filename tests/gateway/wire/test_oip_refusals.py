"""Bad requests of the Open Inference Protocol, and the words that refuse them."""

import time
from typing import Any

import pytest

from driftgate.gateway.errors import BadRequest, TooLarge
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import parse_infer
from driftgate.gateway.wire.tensor_views import ParseLimits
from driftgate.models.errors import InvalidInput

from harness.protocol import LIMITS, body_of, manifest_of, parsed, tensor

ADDSUB = [("INPUT0", "FP32", (-1, 4)), ("INPUT1", "FP32", (-1, 4))]


BAD_BODIES = {
    "empty": (b"", "empty"),
    "blank": (b"  ", "not valid JSON"),
    "list": (b"[]", "body must be an object"),
    "number": (b"1", "body must be an object"),
    "null": (b"null", "body must be an object"),
    "truncated": (body_of(tensor())[:-5], "not valid JSON"),
    "trailing": (body_of(tensor()) + b"x", "not valid JSON at byte"),
    "two documents": (body_of(tensor()) * 2, "not valid JSON at byte"),
    "bom": (b"\xef\xbb\xbf" + body_of(tensor()), "not valid JSON at byte 0"),
    "utf-16": (body_of(tensor()).decode().encode("utf-16"), "not UTF-8 at byte 0"),
    "bad utf-8": (b'{"inputs":[],"x":"\xff"}', "not UTF-8 at byte 18"),
    "nan": (b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[NaN,1,1,1]}]}', "null means"),
    "infinity": (
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[-Infinity]}]}',
        "valid JSON",
    ),
    "no inputs": (b"{}", "no 'inputs'"),
    "inputs null": (b'{"inputs":null}', "'inputs' of the request must be a list"),
    "input null": (b'{"inputs":[null]}', "'inputs[0]' of the request must be an object"),
    "no name": (b'{"inputs":[{"shape":[1],"datatype":"FP32"}]}', "no 'inputs[0].name'"),
    "name number": (body_of(tensor(name=5)), "'inputs[0].name' of the request must be a string"),
    "shape float": (body_of(tensor(shape=[1.5, 4])), "'inputs[0].shape[0]' of the request must be a whole"),
    "id number": (body_of(tensor(), id=5), "'id' of the request must be a string"),
    "lone surrogate": (b'{"inputs":[],"id":"\\ud800"}', "not valid JSON"),
    "id too long": (body_of(tensor(), id="x" * 1025), "longer than 1024"),
    "timeout negative": (body_of(tensor(), parameters={"timeout": -1}), "'timeout' must be a whole number"),
    "timeout text": (body_of(tensor(), parameters={"timeout": "1"}), "'timeout' must be a whole number"),
    "timeout bool": (body_of(tensor(), parameters={"timeout": True}), "'timeout' must be a whole number"),
    "priority": (body_of(tensor(), parameters={"priority": 1.5}), "'priority' must be a whole number"),
    "reserved": (body_of(tensor(), parameters={"triton_x": 1}), "reserved"),
    "sequence": (body_of(tensor(), parameters={"sequence_id": [1]}), "'sequence_id' must be a string"),
    "sequence past 2^64": (body_of(tensor(), parameters={"sequence_id": 2**64}), "between 0 and 2^64 - 1"),
    "binary output": (body_of(tensor(), parameters={"binary_data_output": 1}), "must be true or false"),
    "unknown output": (
        body_of(tensor(), outputs=[{"name": "NOPE"}]),
        "unexpected inference output 'NOPE' for",
    ),
    "output twice": (body_of(tensor(), outputs=[{"name": "y"}] * 2), "requested twice"),
    "classification 0": (
        body_of(tensor(), outputs=[{"name": "y", "parameters": {"classification": 0}}]),
        "positive whole number",
    ),
    "output shared memory": (
        body_of(tensor(), outputs=[{"name": "y", "parameters": {"shared_memory_region": "r"}}]),
        "shared memory is not offered",
    ),
}


@pytest.mark.parametrize(("body", "words"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_bodies(body: bytes, words: str) -> None:
    """What is not a request is refused, in words that say what and where."""
    with pytest.raises(BadRequest) as refused:
        parsed(manifest_of(), body)
    assert words in str(refused.value)


BAD_TENSORS = {
    "unknown": ([tensor("X")], "unexpected inference input 'X' for model 'm'"),
    "missing": (
        [],
        "expected 1 inputs but got 0 inputs for model 'm'. Got input(s) [], but missing required",
    ),
    "twice": ([tensor(), tensor()], "input 'x' is given twice"),
    "datatype": (
        [tensor(datatype="FP64")],
        "inference input 'x' data-type is 'FP64', but model 'm' expects 'FP32'",
    ),
    "no datatype": ([tensor(datatype="WAT")], "invalid datatype for input 'x': 'WAT'"),
    "rank": ([tensor(shape=[4])], "unexpected shape for input 'x' for model 'm'. Expected [-1, 4], got [4]"),
    "rank 65": ([tensor(shape=[1] * 65)], "unexpected shape"),
    "no shape": ([tensor(shape=[])], "unexpected shape"),
    "fixed": ([tensor(shape=[1, 5])], "Expected [-1, 4], got [1, 5]"),
    "negative": ([tensor(shape=[-1, 4])], "every dimension must be at least 1"),
    "zero": ([tensor(shape=[0, 4], data=[])], "every dimension must be at least 1"),
    "past 2^64": ([tensor(shape=[1, 2**64])], "unexpected shape"),
    "too few": ([tensor(data=[1, 2, 3])], "shape [1, 4] asks for 4 values and data has 3"),
    "too many": ([tensor(data=[1, 2, 3, 4, 5])], "asks for 4 values and data has 5"),
    "ragged": (
        [tensor(shape=[2, 4], data=[[1, 2, 3, 4], [1, 2, 3]])],
        "data[1] has 3 values where the shape asks for 4",
    ),
    "short outside": (
        [tensor(shape=[2, 4], data=[[1, 2, 3, 4]])],
        "data has 1 elements where the shape asks for 2",
    ),
    "mixed levels": ([tensor(shape=[2, 4], data=[[1, 2, 3, 4], 5])], "data[1] must be a list"),
    "list among numbers": ([tensor(data=[1, 2, 3, [4]])], "input 'x', index 3: '[4]' is not a number"),
    "too deep": ([tensor(data=[[[1, 2, 3, 4]]])], "nested deeper than the shape"),
    "text": ([tensor(data=[1, 2, 3, "a"])], "input 'x', index 3: '\"a\"' is not a number"),
    "text nested": ([tensor(data=[[1, 2, 3, "a"]])], "input 'x', index 3: '\"a\"' is not a number"),
    "bool": ([tensor(data=[1, True, 3, 4])], "index 1: 'true' is not a number"),
    "object": ([tensor(data={"a": 1})], "data must be a list"),
    "null data": ([tensor(data=None)], "data must be a list"),
    "null": ([tensor(data=[1, None, 3, 4])], "input 'x', index 1: null stands for a missing value"),
    "float32 overflow": ([tensor(data=[1, 2, 1e39, 4])], "input 'x', index 2: 1e+39 is outside FP32"),
    "both": ([tensor(parameters={"binary_data_size": 16})], "both data and binary_data_size"),
    "shared memory": ([tensor(parameters={"shared_memory_region": "r"})], "shared memory is not offered"),
}


@pytest.mark.parametrize(("given_tensors", "words"), BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_bad_tensors(given_tensors: list[dict[str, Any]], words: str) -> None:
    """A tensor that the signature does not allow is refused by name, with the index of what is wrong."""
    with pytest.raises((BadRequest, InvalidInput)) as refused:
        parsed(manifest_of(), body_of(*given_tensors))
    assert words in str(refused.value)


BAD_ELEMENTS = [
    ("UINT8", 256, "256 is outside UINT8"),
    ("UINT8", -1, "-1 is outside UINT8"),
    ("INT8", 128, "128 is outside INT8"),
    ("INT32", 2**31, "2147483648 is outside INT32"),
    ("INT64", 2**63, "9223372036854775808 is outside INT64"),
    ("UINT64", 2**64, "18446744073709551616 is outside UINT64"),
    ("INT64", 10**30, "is outside INT64"),
    ("INT64", 1.0, "'1.0' is not a whole number"),
    ("INT64", True, "'true' is not a whole number"),
    ("INT64", None, "null stands for a missing value"),
    ("FP16", 70000, "70000.0 is outside FP16"),
    ("FP32", -4e38, "-4e+38 is outside FP32"),
    ("BOOL", 2, "2 is not true, false, 0 or 1"),
    ("BOOL", "true", "is not true, false, 0 or 1"),
    ("BYTES", 5, "'5' is not a string"),
    ("BYTES", None, "null stands for a missing value"),
]


@pytest.mark.parametrize(("datatype", "value", "words"), BAD_ELEMENTS)
def test_bad_elements(datatype: str, value: Any, words: str) -> None:
    """A value outside the datatype is refused with its index; nothing wraps, rounds or becomes infinite."""
    good: Any = {"BYTES": "a", "BOOL": True}.get(datatype, 0)
    body = body_of(tensor(datatype=datatype, data=[good, good, value, good]))
    with pytest.raises((BadRequest, InvalidInput)) as refused:
        parsed(manifest_of([("x", datatype, (-1, 4))]), body)
    assert str(refused.value).startswith("input 'x', index 2: ")
    assert words in str(refused.value)


def test_number_beyond_doubles() -> None:
    """1e400 is refused with its index, not read as infinity."""
    body = body_of(tensor()).replace(b"[1, 2, 3, 4]", b"[1, 2, 1e400, 4]")
    with pytest.raises(InvalidInput, match="index 2: '1e400' is not a number"):
        parsed(manifest_of(), body)


def test_rows_over_the_limit() -> None:
    """Too many rows are refused before their data is looked at."""
    for rows in (1001, 2**64, 10**400):
        with pytest.raises(TooLarge, match="one request may have 1000"):
            parsed(manifest_of(), body_of(tensor(shape=[rows, 4])))


def test_text_over_the_limit() -> None:
    """JSON and strings beyond their limit are refused before they are read; binary numbers do not count."""

    def read(datatype: str, most: int) -> int:
        head = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"%b","parameters":{"binary_data_size":16}}]}'
        head %= datatype.encode()
        view = ModelView.of(manifest_of([("x", datatype, (-1, 4))]))
        return parse_infer(
            head + bytes(16), len(head), view, ParseLimits(max_json_bytes=len(head) + most)
        ).rows

    assert (read("FP32", 0), read("BYTES", 16)) == (1, 1)
    for datatype, most in (("FP32", -1), ("BYTES", 15)):
        with pytest.raises(TooLarge, match="bytes of JSON and strings and may have"):
            read(datatype, most)


@pytest.mark.parametrize("data", [5, [[5]], [], [1, 2]])
def test_scalar_inputs(data: Any) -> None:
    """An input without dimensions has one value in a flat list, nothing else."""
    manifest = manifest_of([("x", "INT64", ())])
    assert parsed(manifest, body_of(tensor(shape=[], datatype="INT64", data=[5]))).inputs["x"] == 5
    with pytest.raises(BadRequest, match="input 'x'"):
        parsed(manifest, body_of(tensor(shape=[], datatype="INT64", data=data)))


@pytest.mark.parametrize("size", [2**31, 2**40, 10**4000])
def test_product_past_64_bits(size: int) -> None:
    """A shape whose product passes what memory can hold is refused; nothing is allocated."""
    manifest = manifest_of([("x", "FP32", (-1, -1, -1))])
    for fields in ({}, {"parameters": {"binary_data_size": 10**4200}, "data": []}):
        with pytest.raises(BadRequest, match=r"unexpected shape|asks for|both data"):
            parsed(manifest, body_of(tensor(shape=[2, size, size]) | fields))


def test_rows_must_agree() -> None:
    """All inputs that count rows have the same number of them."""
    body = body_of(tensor("INPUT0"), tensor("INPUT1", [2, 4], data=list(range(8))))
    with pytest.raises(BadRequest, match="'INPUT1' batch size does not match other inputs for 'm'"):
        parsed(manifest_of(ADDSUB), body)


@pytest.mark.parametrize(
    "opening", [b"[", b'{"a":', b'{"inputs":', b'{"inputs":[{"data":[', b'{"x":[', b'{"rows":[']
)
def test_depth_bombs(opening: bytes) -> None:
    """A million levels are refused within 20 ms."""
    bomb = opening + b"[" * 1_000_000
    view = ModelView.of(manifest_of())
    elapsed = []
    for _ in range(3):
        began = time.perf_counter()
        with pytest.raises(BadRequest):
            parse_infer(bomb, None, view, LIMITS)
        elapsed.append(time.perf_counter() - began)
    assert min(elapsed) < 0.02


def test_many_empty_lists() -> None:
    """Millions of small lists where the shape has few rows are refused without being built."""
    bomb = body_of(tensor()).replace(b"[1, 2, 3, 4]", b"[" + b"[]," * 1_000_000 + b"[]]")
    with pytest.raises(BadRequest, match="data has 1000001 elements where the shape asks for 1"):
        parsed(manifest_of(), bomb)


def test_recorded_refusals() -> None:
    """A missing input and a header length beyond the body are refused in the reference server's words."""
    manifest = manifest_of(ADDSUB)
    body = body_of(tensor("INPUT0"))
    with pytest.raises(BadRequest) as refused:
        parsed(manifest, body)
    assert str(refused.value) == (
        "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['INPUT0'], "
        "but missing required input(s) ['INPUT1']. Please provide all required input(s)."
    )
    for length in (99999, -1):
        with pytest.raises(BadRequest) as refused:
            parsed(manifest, body, length)
        assert str(refused.value) == (
            f"inference header size should be in range (0, {len(body)}), got: {length}"
        )
