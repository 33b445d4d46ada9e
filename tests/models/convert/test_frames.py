"""What data frames and stated files say about columns and task."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from driftgate.models.convert.frames import (
    MAX_CATEGORIES,
    frame_columns,
    frame_feeds,
    frame_sha256,
    matrix_columns,
    missing_kinds,
    signature_columns,
)
from driftgate.models.convert.stated import (
    read_columns,
    read_task,
    stated_columns,
    stated_task,
    with_stated_columns,
    with_stated_task,
)
from driftgate.models.errors import ConversionError, InvalidInput, InvalidManifest
from driftgate.models.schema.manifest import Column, Task, TaskOutput


def _series(values: list[Any], dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (_series([1.5, 2.0]), Column("x", "x", "FP32")),
        (_series([1.5, np.nan]), Column("x", "x", "FP32", missing=True)),
        (_series([1, 2], "int16"), Column("x", "x", "INT64")),
        (_series([1, None], "Int64"), Column("x", "x", "FP32", missing=True)),
        (_series([True, False]), Column("x", "x", "BOOL")),
        (_series([True, None], "boolean"), Column("x", "x", "FP32", missing=True)),
        (_series(["b", "a"]), Column("x", "x", "BYTES", categories=("a", "b"))),
        (_series(["b", np.nan]), Column("x", "x", "BYTES", None, None, None, ("b",), True, "<missing>")),
        (_series(["b", "a"], "category"), Column("x", "x", "BYTES", categories=("a", "b"))),
        (_series([1, 2], "category"), Column("x", "x", "INT64")),
        (_series([f"id{i}" for i in range(MAX_CATEGORIES + 1)]), Column("x", "x", "BYTES")),
    ],
)  # fmt: skip
def test_columns_of_a_frame(frame: pd.DataFrame, expected: Column) -> None:
    """A dtype, what is missing and few enough categories become a column of the same meaning."""
    assert frame_columns(frame) == (expected,)


def test_double_precision_widens_floats_alone() -> None:
    """In double precision floats become FP64 and everything else stays."""
    frame = pd.DataFrame({"a": [1.5], "b": [1], "c": ["x"]})
    assert [column.datatype for column in frame_columns(frame, double=True)] == ["FP64", "INT64", "BYTES"]


@pytest.mark.parametrize("values", [[pd.Timestamp(0)], [1, "a"], [b"a"], [1 + 2j]])
def test_other_dtypes_are_refused(values: list[Any]) -> None:
    """Dates, mixed columns and bytes are refused by the column's name, with a remedy."""
    with pytest.raises(ConversionError, match="column 'x' has dtype"):
        frame_columns(_series(values))


def test_feeds_have_the_declared_token() -> None:
    """Missing text becomes the token, missing numbers NaN, each in a tensor [rows, 1]."""
    frame = pd.DataFrame({"n": [1.0, np.nan], "s": ["a", None]})
    feeds = frame_feeds(frame, frame_columns(frame))
    assert feeds["s"].tolist() == [["a"], ["<missing>"]]
    assert feeds["n"].dtype == np.float32
    assert np.isnan(feeds["n"][1, 0])


def test_a_value_missing_where_none_may_be_is_named() -> None:
    """Column and row of a missing value that the columns do not allow are in the error."""
    columns = frame_columns(_series([1.0, 2.0]))
    with pytest.raises(InvalidInput, match="column 'x', row 1: a missing value"):
        frame_feeds(_series([1.0, np.nan]), columns)


@pytest.mark.parametrize(
    ("datatype", "values"), [("INT64", [1.5]), ("FP32", ["a"]), ("BOOL", ["no"]), ("UINT8", [-1])]
)
def test_values_of_another_type_are_refused(datatype: str, values: list[Any]) -> None:
    """Nothing is cut, wrapped or guessed on the way into a tensor: the column is named."""
    with pytest.raises(InvalidInput, match=f"column 'x' holds .* no {datatype}"):
        frame_feeds(_series(values), [Column("x", "x", datatype)])


def test_a_matrix_has_one_input() -> None:
    """The columns of a matrix are elements of one input, each knowing whether it may be missing."""
    columns = matrix_columns(["a", "b"], np.array([[1.0, np.nan], [2.0, 3.0]]), "input", double=False)
    assert columns == (
        Column("a", "input", "FP32", index=0),
        Column("b", "input", "FP32", index=1, missing=True),
    )


@pytest.mark.parametrize(
    ("frame", "kinds"),
    [
        (pd.DataFrame({"s": ["a"]}), set()),
        (pd.DataFrame({"s": ["a", np.nan], "n": [1.0, np.nan]}), {"NaN"}),
        (pd.DataFrame({"s": pd.Series(["a", None], dtype=object)}), {"None"}),
        (pd.DataFrame({"s": pd.Series([np.nan, None, "a"], dtype=object)}), {"NaN", "None"}),
    ],
)
def test_marks_of_missing_text(frame: pd.DataFrame, kinds: set[str]) -> None:
    """NaN and None are told apart, because scikit-learn does so; numbers do not matter."""
    assert missing_kinds(frame) == kinds


def test_the_hash_is_of_names_types_values_and_order() -> None:
    """Equal data have equal hashes, and any difference shows."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    others = [frame.rename(columns={"a": "c"}), frame.astype({"a": float}), frame.iloc[::-1], frame.head(1)]
    assert frame_sha256(frame) == frame_sha256(frame.copy())
    assert frame_sha256(frame) not in {frame_sha256(other) for other in others}


SHOWN = (
    Column("f0", "x", "FP32", index=0),
    Column("f1", "x", "FP32", index=1),
    Column("city", "city", "BYTES"),
)


def test_a_frame_names_the_elements_of_a_matrix() -> None:
    """Inputs of one column are found by name, elements of the matrix by order, datatypes stay the graph's."""
    frame = pd.DataFrame({"age": [40, 41], "city": ["a", None], "income": [1.0, np.nan]})
    age, income, city = signature_columns(SHOWN, frame)
    assert (age.name, age.index, age.datatype) == ("age", 0, "FP32")
    assert (income.name, income.index, income.missing) == ("income", 1, True)
    assert (city.name, city.categories, city.missing) == ("city", ("a",), True)


def test_a_frame_that_does_not_fit_is_refused() -> None:
    """Too few columns for the model are refused with both lists."""
    with pytest.raises(InvalidInput, match=r"\['age'\].*'f0', 'f1', 'city'"):
        signature_columns(SHOWN, pd.DataFrame({"age": [1]}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", '[{"name": "f0", "unit": "kg", "missing": true}]'),
        ("c.json", '{"columns": [{"name": "f0", "unit": "kg", "missing": true}]}'),
        ("c.toml", '[[columns]]\nname = "f0"\nunit = "kg"\nmissing = true\n'),
    ],
)
def test_a_columns_file_overrides_by_field(tmp_path: Path, name: str, text: str) -> None:
    """JSON and TOML have the fields of Column; what is left out keeps its inferred value."""
    (tmp_path / name).write_text(text)
    column = with_stated_columns(SHOWN, read_columns(tmp_path / name))[0]
    assert column == Column("f0", "x", "FP32", index=0, unit="kg", missing=True)


def test_a_column_is_renamed_by_its_place() -> None:
    """A new name takes the column at the stated input and index."""
    renamed = with_stated_columns(SHOWN, stated_columns([{"name": "age", "input": "x", "index": 1}]))
    assert [column.name for column in renamed] == ["f0", "age", "city"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[{"name": "f0", "unitt": "kg"}]', "unknown field `unitt`"),
        ('[{"name": "f0", "missing": "yes"}]', r"`bool`.*missing"),
        ('[{"unit": "kg"}]', "missing required field `name`"),
        ("{", "c.json"),
    ],
)
def test_a_bad_columns_file_names_the_field(tmp_path: Path, text: str, match: str) -> None:
    """What is wrong with a columns file is said with the file and the field."""
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InvalidManifest, match=match):
        read_columns(tmp_path / "c.json")


def test_a_column_that_is_none_is_refused() -> None:
    """A name without a place must be one of the model's."""
    with pytest.raises(InvalidManifest, match="'age' is none of the model's columns: city, f0, f1"):
        with_stated_columns(SHOWN, stated_columns([{"name": "age"}]))


INFERRED = Task(
    "classification", (TaskOutput("y", "other"), TaskOutput("p", "probabilities")), (0, 1), 1, 0.5
)


def test_a_task_file_overrides_by_field(tmp_path: Path) -> None:
    """Stated fields of the task win, outputs by name, and null takes a value away."""
    (tmp_path / "t.json").write_text(
        '{"threshold": null, "classes": ["no", "yes"], "outputs": [{"name": "y", "role": "prediction"}]}'
    )
    task = with_stated_task(INFERRED, read_task(tmp_path / "t.json"))
    outputs = (TaskOutput("y", "prediction"), TaskOutput("p", "probabilities"))
    assert task == Task("classification", outputs, ("no", "yes"), 1, None)


@pytest.mark.parametrize(
    ("stated", "match"),
    [
        ({"outputs": [{"name": "z", "role": "other"}]}, "'z' is none of the model's: p, y"),
        ({"outputs": [{"name": "y", "role": "answer"}]}, "answer"),
        ({"kind": "regression"}, "unknown field `kind`"),
    ],
)
def test_a_bad_task_names_the_field(stated: dict[str, Any], match: str) -> None:
    """What is wrong with a task is said with the field or the output."""
    with pytest.raises(InvalidManifest, match=match):
        with_stated_task(INFERRED, stated_task(stated))
