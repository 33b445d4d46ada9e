"""Rows made up from a signature where nobody gave examples: always the same ones for the same signature."""

import hashlib

import msgspec
import numpy as np

from driftgate.models.schema.elements import Array
from driftgate.models.schema.signature import DATATYPES, FLOATS, Signature, TensorSpec

SYNTHETIC_ROWS = 8


def synthetic_rows(signature: Signature) -> dict[str, Array]:
    """Return rows that fit the signature: small numbers and short texts, the same on every call."""
    seed = hashlib.sha256(msgspec.json.encode(signature)).digest()[:8]
    generator = np.random.default_rng(int.from_bytes(seed, "little"))
    return {spec.name: _synthetic(spec, generator) for spec in signature.inputs}


def _synthetic(spec: TensorSpec, generator: np.random.Generator) -> Array:
    first, rest = spec.shape[:1], spec.shape[1:]
    shape = tuple(SYNTHETIC_ROWS if size == -1 else size for size in first)
    shape += tuple(1 if size == -1 else size for size in rest)
    dtype = DATATYPES[spec.datatype].dtype
    if spec.datatype == "BYTES":
        return generator.choice(np.array(["a", "b", ""], dtype=object), shape).astype(object)
    if spec.datatype in FLOATS:
        return generator.normal(size=shape).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)
