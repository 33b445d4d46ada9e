"""Packed rows: what is written is read, and what is damaged is never passed on."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.errors import InvalidRows
from driftgate.features.rows.codec import EntityRows, decode_rows, encode_rows, event_time_of, never_written
from driftgate.features.rows.layout import Array, RowLayout
from driftgate.features.views.status import Fault
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.feature_conformance import EVERYTHING, NOW_US, Entry, rows_of
from harness.feature_rows import float_rows, float_view

SOUND: list[Any] = [1.0, 2.0, 3, 4, True, "Lyon", "a", [1.0, 2.0, 3.0], ["x", "é"]]
LAYOUT = RowLayout.of(EVERYTHING)
ROW = encode_rows(LAYOUT, rows_of(EVERYTHING, [Entry(("a", 1), NOW_US, SOUND)]))[0]
NUMBERS = float_view(features=70)
NUMBER_LAYOUT = RowLayout.of(NUMBERS)
NUMBER_ROW = encode_rows(NUMBER_LAYOUT, float_rows(NUMBERS, ["a"], NOW_US, 1.5))[0]


WORDS = FeatureView("v", (JoinKey("k"),), (Feature("a", "int32"), Feature("b", "string")))
WRITTEN = "01a53821a4ba546b {} 0100000000000000 0000000000000000 feffffff 4bdc58f6 03000000 00000000 68c3a9"
PLAIN, UNMARKED = WRITTEN.format("c64b009fbe40cf34"), WRITTEN.format("22fed23142cca521")


def test_the_bytes_of_a_row_stay_what_they_are() -> None:
    """A row that was written once is read by every later release: its bytes are fixed."""
    rows = EntityRows([b"k"], np.array([1]), {"a": np.array([-2], np.int32), "b": np.array(["hé"], object)})
    (row,) = encode_rows(RowLayout.of(WORDS), rows)
    assert row == bytes.fromhex(PLAIN)


def test_rows_that_do_not_say_that_they_are_plain_are_read_too() -> None:
    """Before there were plain rows, all were written like those with a null or NaN."""
    stored = decode_rows(RowLayout.of(WORDS), [bytes.fromhex(UNMARKED), bytes.fromhex(PLAIN)])
    assert not stored.faults
    assert stored.columns["a"].tolist() == [-2, -2]
    assert stored.columns["b"].tolist() == ["hé", "hé"]


@pytest.mark.parametrize(("layout", "row"), [(LAYOUT, ROW), (NUMBER_LAYOUT, NUMBER_ROW)])
def test_no_changed_bit_goes_unnoticed(layout: RowLayout, row: bytes) -> None:
    """Every single bit that flips makes the row corrupt, or of another schema; its neighbours are read."""
    flipped = [
        bytes(byte ^ (1 << bit) if at == place else byte for at, byte in enumerate(row))
        for place in range(len(row))
        for bit in (0, 3, 7)
    ]
    raw = [row, *flipped, row]
    stored = decode_rows(layout, raw)
    assert stored.faults.keys() == set(range(1, len(raw) - 1))
    assert set(stored.faults.values()) == {Fault.CORRUPT, Fault.WRONG_SCHEMA}
    assert stored.event_time_us.tolist() == [NOW_US, *([0] * len(flipped)), NOW_US]


@pytest.mark.parametrize(("layout", "row"), [(LAYOUT, ROW), (NUMBER_LAYOUT, NUMBER_ROW)])
def test_truncated_and_lengthened_rows_are_corrupt(layout: RowLayout, row: bytes) -> None:
    """A row of any other length is refused, also when two wrong lengths add up to the right one."""
    raw = [row[:length] for length in range(len(row))] + [row + b"\0", row + row]
    assert decode_rows(layout, raw).faults.keys() == set(range(len(raw)))
    assert decode_rows(layout, [row[:-8], row + row[-8:]]).faults == {0: Fault.CORRUPT, 1: Fault.CORRUPT}


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise(data: bytes, has_head: bool) -> None:
    """Whatever lies in the store, reading it says what is wrong with it."""
    row = ROW[:8] + data if has_head else data
    assert decode_rows(LAYOUT, [row]).faults.keys() == {0}


def test_rows_of_another_schema_are_told() -> None:
    """A row of the same size but another schema, or of no layout at all, is of a wrong schema."""
    other = RowLayout.of(float_view("other", features=70))
    assert decode_rows(other, [NUMBER_ROW, ROW, b"\0" * 400]).faults == dict.fromkeys(
        range(3), Fault.WRONG_SCHEMA
    )


def test_what_was_never_written_has_no_fault_but_the_given_one() -> None:
    """Absent rows have event time 0; a store may say why all are absent."""
    assert decode_rows(LAYOUT, [None, ROW, None]).event_time_us.tolist() == [0, NOW_US, 0]
    assert decode_rows(LAYOUT, [None, ROW, None]).faults == {}
    assert never_written(LAYOUT, 2, Fault.TIMEOUT).faults == {0: Fault.TIMEOUT, 1: Fault.TIMEOUT}
    assert event_time_of(ROW) == NOW_US
    assert event_time_of(b"") == 0


@settings(deadline=None)
@given(st.integers(1, 130), st.integers(1, 20), st.data())
def test_nulls_are_kept_for_any_number_of_features(features: int, count: int, data: st.DataObject) -> None:
    """The null bitmap tells every cell apart, across words, and other values are untouched."""
    view = float_view(features=features)
    layout = RowLayout.of(view)
    seed = data.draw(st.integers(0, 2**32 - 1))
    null = np.random.default_rng(seed).random((count, features)) < 0.3
    rows = float_rows(view, [str(number) for number in range(count)], NOW_US, 2.0)
    nulls = {f"f{number}": null[:, number] for number in range(features)}
    stored = decode_rows(layout, encode_rows(layout, rows._replace(nulls=nulls)))
    assert np.array_equal(stored.nulls if stored.nulls is not None else np.zeros_like(null), null)
    assert np.array_equal(stored.blocks["float32"], np.where(null, 0.0, 2.0))


_ONE = {"a": np.zeros(1, np.float32), "n": np.zeros(1, np.int32), "s": np.array(["x"], object)}


@pytest.mark.parametrize(
    ("changed", "times", "problem"),
    [
        ({"a": np.zeros((1, 2), np.float32)}, [1], "'a': shape"),
        ({"a": np.zeros(2, np.float32)}, [1], "'a': shape"),
        ({"a": np.array(["x"])}, [1], "'a'.*not float32"),
        ({"n": np.array([1.5])}, [1], "'n'.*not int32"),
        ({"n": np.array([2**31])}, [1], "'n', row 0: 2147483648 is outside int32"),
        ({"n": np.array([2**64 - 1], np.uint64)}, [1], "'n', row 0.*outside int32"),
        ({"s": np.array([7], object)}, [1], "'s', row 0: int is no string"),
        ({}, [0], "row 0: an event time"),
        ({}, [-1], "row 0: an event time"),
        ({}, [1, 2], "event times"),
        ({}, [1.0], "event times"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Array], times: list[Any], problem: str) -> None:
    """Columns of a wrong shape or type, values outside it, and bad event times name feature and row."""
    features = (Feature("a", "float32"), Feature("n", "int32"), Feature("s", "string"))
    layout = RowLayout.of(FeatureView("v", (JoinKey("k"),), features))
    with pytest.raises(InvalidRows, match=problem):
        encode_rows(layout, EntityRows([b"k"], np.array(times), {**_ONE, **changed}))


def test_a_column_must_not_be_left_out() -> None:
    """A feature that is not given is an error, not a null."""
    rows = float_rows(float_view(features=3), ["a"], NOW_US, 1.0)
    with pytest.raises(InvalidRows, match="'f3' is not given"):
        encode_rows(RowLayout.of(float_view(features=4)), rows)


def test_no_rows_are_no_bytes() -> None:
    """Nothing to write and nothing to read is no special case, strings and vectors included."""
    view = FeatureView("v", (JoinKey("k"),), (Feature("s", "string", length=2), Feature("f", "float32")))
    layout = RowLayout.of(view)
    empty = {"s": np.zeros((0, 2), object), "f": np.zeros(0, np.float32)}
    assert encode_rows(layout, EntityRows([], np.zeros(0, np.int64), empty)) == []
    assert decode_rows(layout, []).columns["s"].shape == (0, 2)
