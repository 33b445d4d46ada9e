"""What parsing, routing and encoding a request costs, against the floor: msgspec and numpy without checks.

Run with `python loadtests/codec_bench.py`; takes about ten seconds. Every figure is the fastest of several
rounds, so that a busy machine disturbs it little.
"""

import json
import timeit
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from driftgate.gateway.routing.table import ModelRoute
from driftgate.gateway.state.desired import Arm, TrafficSplit
from driftgate.gateway.wire.computed import Computed, InferenceResult
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_json import encode_infer, parse_infer
from driftgate.gateway.wire.prediction_id import PredictionIds
from driftgate.gateway.wire.rows import encode_predict, parse_predict
from driftgate.gateway.wire.tensor_views import ParseLimits
from driftgate.models.schema.manifest import Column, Manifest, Provenance
from driftgate.models.schema.signature import Signature, TensorSpec

FEATURES = 30
CALLS_PER_ROUND = 400
ROUNDS = 40


class FloorTensor(msgspec.Struct, gc=False):
    """An input as the floor reads it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class FloorRequest(msgspec.Struct, gc=False):
    """A request as the floor reads it."""

    inputs: list[FloorTensor]


class FloorOutput(msgspec.Struct, gc=False):
    """An output as the floor writes it."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class FloorAnswer(msgspec.Struct, gc=False):
    """An answer as the floor writes it."""

    id: str
    model_name: str
    model_version: str
    outputs: list[FloorOutput]


class Measured(NamedTuple):
    """One line of the report: microseconds of ours and of the floor."""

    what: str
    ours_us: float
    floor_us: float


def microseconds(call: Callable[[], object]) -> float:
    """Return what one call takes in the fastest round."""
    best_s = min(timeit.repeat(call, number=CALLS_PER_ROUND, repeat=ROUNDS))
    return best_s / CALLS_PER_ROUND * 1e6


def measure(rows: int) -> list[Measured]:
    """Return what requests of `rows` rows cost, one line per way to ask."""
    view = ModelView.of(_manifest())
    limits = ParseLimits()
    numbers = np.random.default_rng(1).normal(size=(rows, FEATURES)).round(4)
    array = numbers.astype(np.float32)
    described = {"name": "x", "shape": [rows, FEATURES], "datatype": "FP32"}
    flat = json.dumps({"inputs": [described | {"data": numbers.ravel().tolist()}]}).encode()
    nested = json.dumps({"inputs": [described | {"data": numbers.tolist()}]}).encode()
    parameters = {"binary_data_output": True}
    binary_size = {"parameters": {"binary_data_size": array.nbytes}}
    head = json.dumps({"inputs": [described | binary_size], "parameters": parameters}).encode()
    binary = head + array.tobytes()
    named = json.dumps({"rows": [dict(zip(_NAMES, row, strict=True)) for row in numbers.tolist()]}).encode()
    result = InferenceResult(2, PredictionIds().new(1), Computed({}, {"y": array[:, :2].copy()}))
    request = parse_infer(flat, None, view, limits)
    binary_request = parse_infer(binary, len(head), view, limits)
    parse_floor, encode_floor = _floor(flat, result)
    return [
        Measured(
            "parse, flat JSON", microseconds(lambda: parse_infer(flat, None, view, limits)), parse_floor
        ),
        Measured(
            "parse, nested JSON", microseconds(lambda: parse_infer(nested, None, view, limits)), parse_floor
        ),
        Measured(
            "parse, binary", microseconds(lambda: parse_infer(binary, len(head), view, limits)), parse_floor
        ),
        Measured("parse, named rows", microseconds(lambda: parse_predict(named, view, limits)), parse_floor),
        Measured(
            "encode, JSON", microseconds(lambda: encode_infer(request, result, view, "null")), encode_floor
        ),
        Measured(
            "encode, binary",
            microseconds(lambda: encode_infer(binary_request, result, view, "null")),
            encode_floor,
        ),
        Measured(
            "encode, named rows",
            microseconds(lambda: encode_predict(request, result, view, "null")),
            encode_floor,
        ),
    ]


def main() -> None:
    """Print the report."""
    for rows in (1, 64):
        print(f"{rows} row(s) of {FEATURES} floats, 2 out")
        for what, ours_us, floor_us in measure(rows):
            print(f"  {what:20} {ours_us:8.2f} µs   floor {floor_us:8.2f} µs   {ours_us / floor_us:5.2f} x")
    ids = PredictionIds()
    print(f"prediction id          {microseconds(lambda: ids.new(1)):8.2f} µs")
    route = _route()
    choosing_us = microseconds(lambda: route.choose(b"customer-1234567"))
    print(f"hash and choose        {choosing_us:8.2f} µs   goal ≤ 1.5 µs")


_NAMES = [f"f{index}" for index in range(FEATURES)]


def _manifest() -> Manifest:
    return Manifest(
        format=1,
        name="m",
        version=2,
        signature=Signature((TensorSpec("x", "FP32", (-1, FEATURES)),), (TensorSpec("y", "FP32", (-1, 2)),)),
        files=(),
        columns=tuple(Column(name, "x", "FP32", index) for index, name in enumerate(_NAMES)),
        provenance=Provenance("", ""),
    )


def _route() -> ModelRoute[int]:
    """Return a split of three versions."""
    arms = (Arm("stable", 1, 800_000), Arm("v2", 2, 150_000), Arm("v3", 3, 50_000))
    return ModelRoute("m", TrafficSplit("5a" * 16, arms), {1: 1, 2: 2, 3: 3}, 7)


def _floor(body: bytes, result: InferenceResult) -> tuple[float, float]:
    """Return the floor's microseconds for parsing `body` and for encoding `result`, with no checks at all."""
    decoder = msgspec.json.Decoder(FloorRequest)
    encoder = msgspec.json.Encoder()

    def parse() -> object:
        tensor = decoder.decode(body).inputs[0]
        return np.array(tensor.data, np.float32).reshape(tensor.shape)

    def encode() -> object:
        array = result.array("y")
        output = FloorOutput("y", "FP32", list(array.shape), array.ravel().tolist())
        return encoder.encode(FloorAnswer(result.prediction_id, "m", "2", [output]))

    return microseconds(parse), microseconds(encode)


if __name__ == "__main__":
    main()
