"""Columns for a bare ONNX file, which says nothing of what its numbers mean: f0, f1 and so on."""

from collections.abc import Iterable

from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import Signature, TensorSpec

MAX_COLUMNS = 10_000
"""A wider matrix is an image or an embedding, not a row of named things; it gets no columns."""


def bare_columns(signature: Signature) -> tuple[Column, ...]:
    """Return the columns that a signature alone gives, in the signature's order.

    An input of shape [-1] or [-1, 1] is one column with the input's name; each element of a wider matrix is
    one (`f0`…, or `<input>_0`… where there are several matrices). Other shapes get no columns.
    """
    singles = [spec for spec in signature.inputs if _width(spec) == 1]
    matrices = [spec for spec in signature.inputs if 1 < _width(spec) <= MAX_COLUMNS]
    taken = {spec.name for spec in singles}
    by_input: dict[str, tuple[Column, ...]] = {
        spec.name: (Column(spec.name, spec.name, spec.datatype),) for spec in singles
    }
    for spec in matrices:
        prefix = "f" if len(matrices) == 1 else f"{spec.name}_"
        by_input[spec.name] = _elements(spec, _free_prefix(prefix, _width(spec), taken))
        taken |= {column.name for column in by_input[spec.name]}
    return tuple(column for spec in signature.inputs for column in by_input.get(spec.name, ()))


def _width(spec: TensorSpec) -> int:
    """Columns in one row of the input; 0 where a row is not a flat list of known length."""
    return spec.row_size if spec.batched and len(spec.shape) <= 2 else 0


def _elements(spec: TensorSpec, prefix: str) -> tuple[Column, ...]:
    return tuple(Column(f"{prefix}{i}", spec.name, spec.datatype, index=i) for i in range(_width(spec)))


def _free_prefix(prefix: str, width: int, taken: Iterable[str]) -> str:
    while any(f"{prefix}{i}" in taken for i in range(width)):
        prefix += "_"
    return prefix
