"""Does the ONNX model say what the original says? Measured on the examples, per output. Pure.

The difference of two numbers a (original) and b is |a - b| / max(1, |a|): absolute for probabilities,
relative for large values. A decision is a label, or which class has the highest probability; it has changed
where the two differ although the original was not within the tolerance of a tie. A model agrees if no
difference is above the tolerance and no decision has changed.
"""

import sys
from collections.abc import Mapping
from typing import Literal

import numpy as np

from driftgate.models.run.runtime import Array
from driftgate.models.schema.manifest import Agreement, OutputAgreement

TOLERANCE = 1e-4
"""Single precision carries seven digits; sums over hundreds of terms keep four to five of them."""


def measure(
    original: Mapping[str, Array],
    converted: Mapping[str, Array],
    tolerance: float,
    precision: Literal["single", "double"],
) -> Agreement:
    """Compare the outputs of the same rows, by name; outputs that the original has not are passed over."""
    clear = _clear_rows(original, tolerance)
    return Agreement(
        tolerance=tolerance,
        precision=precision,
        outputs=tuple(_compare(name, original[name], converted[name], clear) for name in original),
    )


def agrees(agreement: Agreement) -> bool:
    """Whether every output is within the tolerance and no decision has changed."""
    return all(
        output.largest_difference <= agreement.tolerance and output.decisions_changed == 0
        for output in agreement.outputs
    )


def figures(agreement: Agreement) -> str:
    """Return what was measured as one line for people."""
    parts = (
        f"{output.output}: largest difference {_shown(output.largest_difference)}, "
        f"{output.decisions_changed} of {output.rows} decisions changed"
        for output in agreement.outputs
    )
    return f"{agreement.precision} precision: " + "; ".join(parts)


def _shown(difference: float) -> str:
    return "beyond measure" if difference == sys.float_info.max else f"{difference:.3g}"


def _compare(name: str, original: Array, converted: Array, clear: Array | None) -> OutputAgreement:
    a, b = _aligned(original, converted)
    rows = len(a)
    counted = clear if clear is not None else np.ones(rows, dtype=bool)
    if a.shape != b.shape:
        return OutputAgreement(name, sys.float_info.max, rows, rows)
    if original.dtype.kind != "f":
        changed = (a.astype(str) != b.astype(str)) if a.dtype.kind in "OUST" else a != b
        return OutputAgreement(name, 0.0, int((changed.reshape(rows, -1).any(axis=1) & counted).sum()), rows)
    decisions = int(((_decisions(a) != _decisions(b)) & counted).sum())
    return OutputAgreement(name, _largest_difference(a, b), decisions, rows)


def _largest_difference(a: Array, b: Array) -> float:
    """Return the largest difference; equal infinities and NaN in both are none, NaN in one is the largest."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, np.abs(a - b) / np.maximum(1.0, np.abs(a)))
    return float(np.nan_to_num(differences, nan=sys.float_info.max).max(initial=0.0))


def _decisions(scores: Array) -> Array:
    """Return which column wins in each row; a single column decides nothing."""
    if scores.ndim < 2 or scores.shape[1] < 2:
        return np.zeros(len(scores), dtype=np.int64)
    winners: Array = np.argmax(scores.reshape(len(scores), -1), axis=1)
    return winners


def _clear_rows(original: Mapping[str, Array], tolerance: float) -> Array | None:
    """Return which rows the original decides by more than rounding; None where it gives no scores."""
    for scores in original.values():
        if scores.dtype.kind == "f" and scores.ndim == 2 and scores.shape[1] > 1:
            top = np.sort(scores.astype(np.float64), axis=1)[:, -2:]
            clear: Array = top[:, 1] - top[:, 0] > 2 * tolerance * np.maximum(1.0, np.abs(top[:, 1]))
            return clear
        if scores.dtype.kind == "f" and len(original) > 1:
            signed: Array = np.abs(scores.reshape(len(scores), -1)[:, 0]) > tolerance
            return signed
    return None


def _aligned(original: Array, converted: Array) -> tuple[Array, Array]:
    """Bring [rows] and [rows, 1] together, one signed score and its pair [-s, s], and numbers to float64."""
    a, b = original, converted
    if a.ndim == 1 and b.ndim == 2 and b.shape[1] == 2:
        b = b[:, 1]
    if a.ndim != b.ndim:
        a, b = (x.reshape(len(x)) if x.ndim == 2 and x.shape[1] == 1 else x for x in (a, b))
    if a.dtype.kind == "f":
        return a.astype(np.float64), b.astype(np.float64)
    return a, b
