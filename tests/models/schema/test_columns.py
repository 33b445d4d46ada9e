"""Rows of named values to tensors and back."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.models.errors import InvalidInput
from driftgate.models.schema.columns import RowReader, feeds_from_rows, rows_from_feeds
from driftgate.models.schema.manifest import Column, Manifest

from harness.protocol import manifest_of

MATRIX = manifest_of(
    [("x", "FP32", (-1, 3))],
    columns=[
        Column("c", "x", "FP32", 2, missing=True),
        Column("a", "x", "FP32", 0),
        Column("b", "x", "FP32", 1),
    ],
)
TYPED = manifest_of(
    [
        ("age", "FP64", (-1, 1)),
        ("city", "BYTES", (-1, 1)),
        ("visits", "INT64", (-1,)),
        ("member", "BOOL", (-1, 1)),
    ],
    columns=[
        Column("age", "age", "FP64", missing=True),
        Column("city", "city", "BYTES", missing=True, missing_token="?"),  # noqa: S106 - not a password
        Column("visits", "visits", "INT64"),
        Column("member", "member", "BOOL"),
    ],
)
PERSON = {"age": 41, "city": "Lyon", "visits": 3, "member": True}


def person(**changes: Any) -> dict[str, Any]:
    """A row for TYPED; `changes` replace values."""
    return PERSON | changes


def test_matrix_columns_stand_at_their_index() -> None:
    """Columns of a matrix stand where their index says, whatever the order of manifest and row."""
    feeds = feeds_from_rows(MATRIX, [{"b": 2, "c": 3.5, "a": 1}, {"a": 4, "b": 5, "c": None}])
    assert feeds["x"].dtype == np.float32
    assert np.array_equal(feeds["x"], [[1, 2, 3.5], [4, 5, np.nan]], equal_nan=True)


def test_one_input_per_column() -> None:
    """Inputs that are one column get the shape and dtype of their own."""
    feeds = feeds_from_rows(TYPED, [person(), person(city=None, member=0)])
    assert list(feeds) == ["age", "city", "visits", "member"]
    assert {name: array.shape for name, array in feeds.items()} == {
        "age": (2, 1),
        "city": (2, 1),
        "visits": (2,),
        "member": (2, 1),
    }
    assert feeds["city"].tolist() == [["Lyon"], ["?"]]
    assert feeds["visits"].dtype == np.int64
    assert feeds["member"].tolist() == [[True], [False]]


@pytest.mark.parametrize("missing", [None, math.nan, np.float32("nan"), np.nan])
def test_missing_is_nan_or_token(missing: Any) -> None:
    """None and NaN mean missing; an optional column may be left out as well."""
    rows = [person(age=missing, city=missing), {"visits": 3, "member": True}]
    feeds = feeds_from_rows(TYPED, rows)
    assert np.isnan(feeds["age"]).all()
    assert feeds["city"].tolist() == [["?"], ["?"]]


def test_numpy_scalars() -> None:
    """Numbers, booleans and text as data frames hold them are taken for what they are."""
    row = person(age=np.int32(4), city=np.str_("Nice"), visits=np.int64(7), member=np.bool_(True))
    assert feeds_from_rows(TYPED, [row])["visits"].tolist() == [7]


BAD_ROWS: list[tuple[Manifest, list[dict[str, Any]], str]] = [
    (TYPED, [], "rows: at least one row is needed"),
    (TYPED, [person(), {"age": 1}], "row 1: missing columns 'member', 'visits'"),
    (TYPED, [person(), person(agee=1)], "row 1: unknown column 'agee'; the model has columns 'age', 'city'"),
    (TYPED, [person(), {"age": 1, "x": 2}], "'member', 'visits' and unknown column 'x'"),
    (TYPED, [person(), person(visits="3")], "row 1, column 'visits': '3' is not a whole number"),
    (TYPED, [person(visits=3.0)], "column 'visits': 3.0 is not a whole number"),
    (TYPED, [person(visits=True)], "column 'visits': True is not a whole number"),
    (TYPED, [person(visits=2**63)], "column 'visits': 9223372036854775808 is outside INT64"),
    (TYPED, [person(visits=None)], "column 'visits': null stands for a missing value, and this one may not"),
    (TYPED, [person(age=True)], "column 'age': True is not a number"),
    (TYPED, [person(age="41")], "column 'age': '41' is not a number"),
    (TYPED, [person(age=10**400)], "is outside FP64"),
    (TYPED, [person(age=10**5000)], "is outside FP64"),
    (TYPED, [person(city=5)], "column 'city': 5 is not a string"),
    (TYPED, [person(member=2)], "column 'member': 2 is not true, false, 0 or 1"),
    (TYPED, [person(city=["a"])], "column 'city': ['a'] is not a string"),
    (MATRIX, [{"a": 1, "b": None, "c": 1}], "input 'x', row 0, column 'b': null stands for"),
    (MATRIX, [{"a": 1, "b": math.nan, "c": 1}], "row 0, column 'b': NaN, and it may not be missing"),
    (MATRIX, [{"a": 1, "b": 1e39, "c": 1}], "column 'b': 1e+39 is outside FP32"),
]


@pytest.mark.parametrize(("manifest", "rows", "words"), BAD_ROWS)
def test_bad_rows(manifest: Manifest, rows: list[dict[str, Any]], words: str) -> None:
    """What a column does not allow is refused by row and column."""
    with pytest.raises(InvalidInput) as refused:
        feeds_from_rows(manifest, rows)
    assert words in str(refused.value)


def test_inputs_without_columns() -> None:
    """Inputs of other ranks are given by their own name, as lists nested like one row of them."""
    manifest = manifest_of([("image", "UINT8", (-1, 2, 2)), ("scale", "FP32", (-1,))])
    rows = [{"image": [[1, 2], [3, 4]], "scale": 0.5}, {"image": [[5, 6], [7, 8]], "scale": 1}]
    feeds = feeds_from_rows(manifest, rows)
    assert feeds["image"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert feeds["scale"].tolist() == [0.5, 1]
    assert rows_from_feeds(manifest, feeds) == rows


BAD_NESTED: list[tuple[Any, str]] = [
    ([[1, 2]], "row 0, input 'image': expected shape [2, 2], got [1, 2]"),
    ([[1, 2], [3]], "row 0, input 'image': its lists differ in length"),
    ([1, 2], "row 0, input 'image': 1 is not a list of values"),
    ([[1, 2], [3, 256]], "row 0, input 'image', index 3: 256 is outside UINT8"),
    ([[1, 2], [3, "a"]], "row 0, input 'image', index 3: 'a' is not a whole number"),
    ([], "row 0, input 'image': [] is not a list of values"),
]


@pytest.mark.parametrize(("value", "words"), BAD_NESTED)
def test_bad_nested_values(value: Any, words: str) -> None:
    """Nested lists that do not fit the input are refused by row and input."""
    with pytest.raises(InvalidInput) as refused:
        feeds_from_rows(manifest_of([("image", "UINT8", (-1, 2, 2))]), [{"image": value}])
    assert words in str(refused.value)


def test_rows_of_different_length() -> None:
    """Where a dimension varies, it must not vary within one request."""
    manifest = manifest_of([("x", "FP32", (-1, -1))])
    with pytest.raises(InvalidInput, match="its shape differs from row to row"):
        feeds_from_rows(manifest, [{"x": [1]}, {"x": [1, 2]}])


def test_model_of_one_row() -> None:
    """A model that counts no rows takes one row."""
    manifest = manifest_of(
        [("x", "FP32", (2,))], columns=[Column("a", "x", "FP32", 0), Column("b", "x", "FP32", 1)]
    )
    assert feeds_from_rows(manifest, [{"a": 1, "b": 2}])["x"].tolist() == [1, 2]
    with pytest.raises(InvalidInput, match="one row at a time and got 2"):
        feeds_from_rows(manifest, [{"a": 1, "b": 2}] * 2)


def test_columns_that_do_not_cover_their_input() -> None:
    """Columns that leave places of a matrix unnamed are not used: the input is given by its own name."""
    manifest = manifest_of([("x", "FP32", (-1, 2))], columns=[Column("a", "x", "FP32", 0)])
    assert feeds_from_rows(manifest, [{"x": [1, 2]}])["x"].tolist() == [[1, 2]]


people = st.fixed_dictionaries(
    {
        "age": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "city": st.none() | st.text(max_size=5).filter(lambda text: text != "?"),
        "visits": st.integers(-(2**63), 2**63 - 1),
        "member": st.booleans(),
    }
)


@given(rows=st.lists(people, min_size=1, max_size=6))
@settings(deadline=None)
def test_round_trip(rows: list[dict[str, Any]]) -> None:
    """Rows made from tensors are the rows that the tensors were made from."""
    assert rows_from_feeds(TYPED, feeds_from_rows(TYPED, rows)) == rows


def test_thousand_rows_take_milliseconds() -> None:
    """1,000 rows of 30 columns become a tensor in at most 30 ms, far below a second."""
    names = [f"f{index}" for index in range(30)]
    columns = [Column(name, "x", "FP32", index) for index, name in enumerate(names)]
    reader = RowReader.of(manifest_of([("x", "FP32", (-1, 30))], columns=columns))
    rows = [dict.fromkeys(names, 1.5)] * 1000
    elapsed = []
    for _ in range(5):
        began = time.perf_counter()
        assert reader.feeds(rows)["x"].shape == (1000, 30)
        elapsed.append(time.perf_counter() - began)
    assert min(elapsed) < 0.03


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        ([{"member": True, "visits": 2}, {"visits": 3, "member": False}], set()),
        ([{"member": None, "visits": 2}, {"visits": 3}], {"member"}),
        ([{}, {"member": None}], {"member", "visits"}),
    ],
)
def test_what_has_no_mark_is_given_in_all_rows_or_in_none(
    rows: list[dict[str, Any]], left_out: set[str]
) -> None:
    """Whole numbers and booleans that may be left out are not made up: the input is there, or it is not."""
    reader = RowReader.of(TYPED, frozenset({"visits", "member", "age"}))
    feeds = reader.feeds([{"city": "Lyon"} | row for row in rows])
    assert list(feeds) == [name for name in ("age", "city", "visits", "member") if name not in left_out]
    assert np.isnan(feeds["age"]).all()


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [{"visits": 1}, {"visits": 2}, {"visits": None}],
            "row 2, column 'visits': it is not sent, and row 0 sends it; a whole number has no mark for a "
            "missing value, so send the column in every row, split the request, or leave it out",
        ),
        (
            [{}, {"visits": 1}],
            "row 1, column 'visits': it is sent, and row 0 does not send it; a whole number",
        ),
        ([{"member": 0}, {}], "row 1, column 'member': it is not sent, and row 0 sends it; a boolean has no"),
        ([{"visit": 1}, {}], "row 0: unknown column 'visit'"),
    ],
)
def test_rows_that_differ_in_it_are_refused(rows: list[dict[str, Any]], problem: str) -> None:
    """The refusal names the column and the first row that differs from the first, why, and what to do."""
    reader = RowReader.of(TYPED, frozenset({"visits", "member"}))
    with pytest.raises(InvalidInput) as refused:
        reader.feeds([{"age": 1, "city": "Lyon"} | row for row in rows])
    assert str(refused.value).startswith(problem)


def test_a_wrong_name_beside_an_optional_one_is_seen() -> None:
    """A row with as many names as there are columns, one of them unknown, is refused all the same."""
    reader = RowReader.of(TYPED, frozenset({"visits"}))
    with pytest.raises(InvalidInput, match="unknown column 'visit'"):
        reader.feeds([{"age": 1, "city": "Lyon", "member": True, "visit": 1}])
