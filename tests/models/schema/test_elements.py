"""Plain values to the elements of a tensor."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.models.errors import InvalidInput
from driftgate.models.schema.elements import Elements, fill_of, shown
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import DATATYPES, TensorSpec


def elements(datatype: str) -> Elements:
    """The elements of an input of `datatype` without columns."""
    return Elements.of(TensorSpec("x", datatype, (-1,)), ())


@given(
    value=st.floats(allow_nan=False) | st.integers(-(10**30), 10**30),
    datatype=st.sampled_from(["FP16", "FP32", "FP64"]),
)
def test_rounding_is_that_of_numpy(value: float, datatype: str) -> None:
    """A number becomes the nearest element, as numpy rounds, or is refused where that is infinite."""
    with np.errstate(all="ignore"):
        expected = np.array([value], np.float64).astype(DATATYPES[datatype].dtype)
    if math.isfinite(expected[0]):
        assert elements(datatype).array([value], (1,)).tobytes() == expected.tobytes()
    elif not math.isinf(value):
        with pytest.raises(InvalidInput, match="input 'x', index 0: "):
            elements(datatype).array([value], (1,))


@given(
    value=st.integers(-(2**65), 2**65),
    datatype=st.sampled_from([name for name in DATATYPES if "INT" in name]),
)
def test_whole_numbers_are_exact_or_refused(value: int, datatype: str) -> None:
    """A whole number arrives exactly; outside its datatype it is refused, never wrapped."""
    limits = np.iinfo(DATATYPES[datatype].dtype)
    if limits.min <= value <= limits.max:
        assert elements(datatype).array([value], (1,)).tolist() == [value]
    else:
        with pytest.raises(InvalidInput, match=f"is outside {datatype}"):
            elements(datatype).array([value], (1,))


def test_places_name_row_and_column() -> None:
    """An element is named by row and column where the input has columns, else by its index."""
    columns = [Column("a", "x", "FP32", 0), Column("b", "x", "FP32", 1)]
    named = Elements.of(TensorSpec("x", "FP32", (-1, 2)), columns)
    assert named.place(5) == "input 'x', row 2, column 'b'"
    assert elements("FP32").place(5) == "input 'x', index 5"


@pytest.mark.parametrize(
    ("datatype", "missing", "token", "fill"),
    [
        ("BYTES", True, "?", "?"),
        ("BYTES", True, None, None),
        ("BYTES", False, "?", None),
        ("INT64", True, "?", None),
    ],
)
def test_fills(datatype: str, missing: bool, token: str | None, fill: str | None) -> None:
    """Only a column that allows missing values, in a datatype that can say so, has a fill."""
    assert fill_of(Column("a", "x", datatype, missing=missing, missing_token=token), datatype) == fill


@pytest.mark.parametrize("value", ["a\nb\x1b[0m", "\u2028" * 100, 10**5000, ["x"] * 1000, None], ids=type)
def test_shown_cannot_forge_a_line(value: Any) -> None:
    """What a client sent is shown short, in printable ASCII."""
    text = shown(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 60
