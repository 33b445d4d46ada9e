"""Golden examples: rows to run, what the model answers, and whether an answer depends on other rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.models.errors import InvalidInput, RunError
from driftgate.models.run.examples import MAX_ROWS
from driftgate.models.run.runtime import Array, Session
from driftgate.models.schema.signature import DATATYPES, Signature, TensorSpec

PROBED_ROWS = 16
ROW_RTOL = 1e-4
ROW_ATOL = 1e-5
"""Batched matrix products sum in another order; anything beyond this is not rounding."""


@dataclass(frozen=True)
class GoldenRun:
    """Inputs, the outputs they give, and what was learnt on the way."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    rows: int
    independent_rows: bool


def run_golden(session: Session, inputs: Mapping[str, Array]) -> GoldenRun:
    """Run `inputs` and probe row independence.

    Raises InvalidInput where the inputs do not fit the signature and RunError where the graph fails on them.
    """
    checked = check_examples(session.signature, inputs)
    outputs = dict(zip(_output_names(session), session.run(checked), strict=True))
    rows = next(iter(checked.values())).shape[0] if session.signature.inputs[0].shape else 1
    return GoldenRun(checked, outputs, rows, rows_are_independent(session, checked, outputs))


def check_examples(signature: Signature, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return `inputs` in the signature's order, dtypes and shapes; raise InvalidInput naming the input."""
    unknown = sorted(set(inputs) - {spec.name for spec in signature.inputs})
    if unknown:
        known = ", ".join(spec.name for spec in signature.inputs)
        raise InvalidInput(f"examples: {unknown[0]!r} is no input of the model, whose inputs are {known}")
    checked = {spec.name: _checked(spec, inputs) for spec in signature.inputs}
    lengths = {name: array.shape[0] for name, array in checked.items() if array.ndim}
    if len(set(lengths.values())) > 1 and all(spec.batched for spec in signature.inputs):
        raise InvalidInput(f"examples: the inputs have different numbers of rows: {lengths}")
    if 0 in lengths.values():
        raise InvalidInput("examples: there are no rows")
    return checked


def rows_are_independent(session: Session, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> bool:
    """Whether each row alone gets the answer that it gets in company; False where that cannot be told."""
    rows = next(iter(inputs.values())).shape[0] if session.signature.batched else 0
    if rows < 2 or any(array.ndim == 0 or array.shape[0] != rows for array in outputs.values()):
        return False
    try:
        return all(
            _alone_as_in_company(session, inputs, outputs, row) for row in range(min(rows, PROBED_ROWS))
        )
    except RunError:
        return False


def _alone_as_in_company(
    session: Session, inputs: Mapping[str, Array], outputs: Mapping[str, Array], row: int
) -> bool:
    alone = session.run({name: array[row : row + 1] for name, array in inputs.items()})
    company = [array[row : row + 1] for array in outputs.values()]
    return all(map(_close, alone, company))


def _close(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, ROW_RTOL, ROW_ATOL, equal_nan=True))
    return bool(np.array_equal(one, other))


def _output_names(session: Session) -> Sequence[str]:
    return [spec.name for spec in session.signature.outputs]


def _checked(spec: TensorSpec, inputs: Mapping[str, Array]) -> Array:
    if spec.name not in inputs:
        raise InvalidInput(f"examples: input {spec.name!r} is missing")
    array = np.asarray(inputs[spec.name])
    expected = DATATYPES[spec.datatype].dtype
    if spec.datatype == "BYTES":
        array = array.astype(object)
    elif array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, expected, "same_kind"):
        raise InvalidInput(f"examples: {spec.name!r} is {array.dtype}, and the model takes {spec.datatype}")
    rows = MAX_ROWS if spec.batched else next(iter(spec.shape), 0)
    array = np.ascontiguousarray(array[:rows] if rows and array.ndim else array, dtype=expected)
    if len(spec.shape) == 2 and array.ndim == 1 and spec.shape[1] == 1:
        array = array.reshape(-1, 1)
    if array.ndim != len(spec.shape) or any(
        want not in (-1, got) for want, got in zip(spec.shape, array.shape, strict=True)
    ):
        raise InvalidInput(
            f"examples: {spec.name!r} has shape {list(array.shape)}, and the model takes {list(spec.shape)}"
        )
    return array
