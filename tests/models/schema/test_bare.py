"""Columns of a bare signature."""

import pytest

from driftgate.models.schema.bare import MAX_COLUMNS, bare_columns
from driftgate.models.schema.signature import Signature, TensorSpec


def signature(**shapes: tuple[int, ...]) -> Signature:
    """Return a signature with FP32 inputs of these shapes."""
    return Signature(tuple(TensorSpec(name, "FP32", shape) for name, shape in shapes.items()), ())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (signature(x=(-1, 3)), ["f0", "f1", "f2"]),
        (signature(a=(-1, 2), b=(-1, 2)), ["a_0", "a_1", "b_0", "b_1"]),
        (signature(age=(-1, 1), city=(-1,)), ["age", "city"]),
        (signature(age=(-1, 1), x=(-1, 2)), ["age", "f0", "f1"]),
        (signature(x=(-1, -1)), []),
        (signature(image=(-1, 3, 8, 8)), []),
        (signature(fixed=(4, 2), scalar=()), []),
        (signature(x=(-1, 0)), []),
        (signature(x=(-1, MAX_COLUMNS + 1)), []),
        (signature(f1=(-1,), x=(-1, 2)), ["f1", "f_0", "f_1"]),
    ],
)
def test_names(given: Signature, expected: list[str]) -> None:
    """Columns come from shapes alone, in the signature's order, and never collide."""
    assert [column.name for column in bare_columns(given)] == expected


def test_places() -> None:
    """A matrix's columns carry their index; a one-column input has none."""
    columns = bare_columns(signature(age=(-1, 1), x=(-1, 2)))
    assert [(c.input, c.index, c.datatype) for c in columns] == [
        ("age", None, "FP32"),
        ("x", 0, "FP32"),
        ("x", 1, "FP32"),
    ]
