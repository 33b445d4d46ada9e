"""Keys among the inputs of a request: where they are, and the bytes that are hashed."""

import numpy as np
import pytest

from driftgate.gateway.routing.keys import KeyPlace, as_key, key_at, key_place
from driftgate.gateway.state.desired import KeySource
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.models.schema.manifest import Column, Manifest, Provenance
from driftgate.models.schema.signature import Signature, TensorSpec

MANIFEST = Manifest(
    format=1,
    name="m",
    version=1,
    signature=Signature(
        (
            TensorSpec("x", "FP32", (-1, 3)),
            TensorSpec("user", "BYTES", (-1, 1)),
            TensorSpec("n", "INT64", (-1,)),
        ),
        (TensorSpec("y", "FP32", (-1, 1)),),
    ),
    columns=(Column("age", "x", "FP32", 0), Column("customer", "x", "FP32", 2)),
    files=(),
    provenance=Provenance("2026-01-01T00:00:00Z", "onnx"),
)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (KeySource("input", "customer"), KeyPlace("x", 2)),
        (KeySource("input", "user"), KeyPlace("user")),
        (KeySource("input", "n"), KeyPlace("n")),
        (KeySource("input", "x"), None),
        (KeySource("input", "nope"), None),
        (KeySource("header", "customer"), None),
        (KeySource("prediction-id", ""), None),
    ],
)
def test_a_key_is_a_column_or_a_narrow_input(source: KeySource, place: KeyPlace | None) -> None:
    """A column by its name, else an input with one element for each row."""
    assert key_place(source, MANIFEST) == place


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (41.0, b"41"),
        (0.5, b"0.5"),
        (7, b"7"),
        (True, b"True"),
        ("é", "é".encode()),
        (b"\xff", b"\xff"),
        ("\ud800", b"\\ud800"),
        (None, b""),
        (float("nan"), b""),
        (float("inf"), b"inf"),
    ],
)
def test_values_become_the_bytes_that_people_type(value: object, key: bytes) -> None:
    """Whole numbers in decimal whatever their type; what is missing is no key."""
    assert as_key(value) == key


@pytest.mark.parametrize(
    ("array", "place", "key"),
    [
        (np.array([[1, 2, 41], [4, 5, 6]], np.float32), KeyPlace("x", 2), b"41"),
        (np.array([["ada"], ["bob"]], object), KeyPlace("x"), b"ada"),
        (np.array([7, 8]), KeyPlace("x"), b"7"),
        (np.empty((0, 3), np.float32), KeyPlace("x", 2), b""),
        (np.array([1.0]), KeyPlace("elsewhere"), b""),
    ],
)
def test_the_first_row_has_the_key(array: object, place: KeyPlace, key: bytes) -> None:
    """A request goes to one version as a whole."""
    assert key_at(place, InferenceRequest({"x": np.asarray(array)}, 1)) == key
