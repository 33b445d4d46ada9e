"""What is worked out once per version for the codecs."""

import pytest

from driftgate.gateway.wire.model_view import ModelView
from driftgate.models.schema.manifest import Column, Manifest

from harness.protocol import manifest_of

A_THEN_B = (Column("a", "x", "FP32", 0), Column("b", "x", "FP32", 1))
B_THEN_A = (Column("b", "x", "FP32", 0), Column("a", "x", "FP32", 1))
INPUTS = [("x", "FP32", (-1, 2))]


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (manifest_of(INPUTS, columns=A_THEN_B, version=7), True),
        (manifest_of(INPUTS, columns=B_THEN_A), False),
        (manifest_of([("x", "FP64", (-1, 2))], columns=A_THEN_B), False),
        (manifest_of(INPUTS, [("z", "FP32", (-1,))], columns=A_THEN_B), False),
    ],
)
def test_contract(other: Manifest, alike: bool) -> None:
    """Versions share a contract only if they read every request alike, order of columns included."""
    one = ModelView.of(manifest_of(INPUTS, columns=A_THEN_B))
    assert (one.contract == ModelView.of(other).contract) == alike
