"""Tensors as the Open Inference Protocol names them, and the signature of a model.

One table relates the protocol's datatypes, numpy's dtypes and onnxruntime's type strings.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from driftgate.models.errors import LoadError


class Datatype(NamedTuple):
    """One row of the table. `size_bytes` is 0 for BYTES, whose elements have no fixed size."""

    name: str
    dtype: np.dtype[Any]
    onnx: str
    size_bytes: int


def _row(name: str, dtype: str, onnx: str) -> Datatype:
    kind = np.dtype(dtype)
    return Datatype(name, kind, f"tensor({onnx})", 0 if name == "BYTES" else kind.itemsize)


DATATYPES: dict[str, Datatype] = {
    row.name: row
    for row in (
        _row("BOOL", "bool", "bool"),
        _row("UINT8", "<u1", "uint8"),
        _row("UINT16", "<u2", "uint16"),
        _row("UINT32", "<u4", "uint32"),
        _row("UINT64", "<u8", "uint64"),
        _row("INT8", "<i1", "int8"),
        _row("INT16", "<i2", "int16"),
        _row("INT32", "<i4", "int32"),
        _row("INT64", "<i8", "int64"),
        _row("FP16", "<f2", "float16"),
        _row("FP32", "<f4", "float"),
        _row("FP64", "<f8", "double"),
        _row("BYTES", "object", "string"),
    )
}
FLOATS = frozenset({"FP16", "FP32", "FP64"})
_BY_ONNX = {row.onnx: row.name for row in DATATYPES.values()}


def datatype_of_onnx(onnx_type: str) -> str:
    """Return the protocol's name for onnxruntime's `tensor(float)` and the like, else raise LoadError."""
    if onnx_type in _BY_ONNX:
        return _BY_ONNX[onnx_type]
    raise LoadError(
        f"type {onnx_type} cannot be served: only dense tensors of numbers, booleans and strings can. "
        "Publish the model with `driftgate publish`, which flattens the maps of classic classifiers."
    )


class TensorSpec(msgspec.Struct, frozen=True):
    """Name, protocol datatype and shape of one input or output; -1 is a dimension that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def batched(self) -> bool:
        """Whether the first dimension counts rows."""
        return bool(self.shape) and self.shape[0] == -1

    @property
    def row_size(self) -> int:
        """Elements in one row, or -1 where a dimension after the first varies."""
        size = 1
        for dimension in self.shape[1:]:
            if dimension < 0:
                return -1
            size *= dimension
        return size


class Signature(msgspec.Struct, frozen=True):
    """The inputs that a model takes and the outputs that it gives, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """Whether every input and output has a first dimension that counts rows."""
        return all(spec.batched for spec in (*self.inputs, *self.outputs))

    def input(self, name: str) -> TensorSpec | None:
        """Return the input called `name`, or None."""
        return _find(self.inputs, name)

    def output(self, name: str) -> TensorSpec | None:
        """Return the output called `name`, or None."""
        return _find(self.outputs, name)


def _find(specs: Iterable[TensorSpec], name: str) -> TensorSpec | None:
    return next((spec for spec in specs if spec.name == name), None)
