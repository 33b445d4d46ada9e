"""What goes into a column comes out of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from driftgate.monitoring.log.columns import (
    Data,
    TensorEntry,
    Texts,
    categories,
    encode_array,
    encoding_of,
    join,
    repeat,
)
from driftgate.monitoring.log.record import Array

NUMBERS = ("?", "u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8", ">f4", ">i8")
TEXTS = st.lists(st.text(max_size=20), max_size=12)


def joined(*parts: Array) -> Any:
    """Return what is read of arrays of one kind that were written apart."""
    encoding, dtype = encoding_of(parts[0].dtype)
    entry = TensorEntry("c", "input", encoding, dtype, parts[0].shape[1:])
    written: list[tuple[Data, int]] = [(memoryview(encode_array(part)), len(part)) for part in parts]
    return join(entry, written)


def there_and_back(array: Array) -> Any:
    return joined(array)


@given(st.data())
def test_numbers_survive_to_the_bit(data: st.DataObject) -> None:
    """Every dtype, shape and value, NaN and empty arrays included, comes back as it was."""
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    array = data.draw(arrays.arrays(data.draw(st.sampled_from(NUMBERS)), shape))
    back = there_and_back(array)
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()
    assert back.shape == array.shape


@given(TEXTS)
def test_texts_survive(texts: list[str]) -> None:
    """Any text without lone surrogates comes back, in any script, empty ones included."""
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    array = np.array([*texts, None], object)[:-1]
    back = there_and_back(array)
    assert isinstance(back, Texts)
    assert back.tolist() == texts
    assert len(back) == len(texts)


def test_bytes_and_odd_values_become_texts() -> None:
    """Bytes are decoded, escaped where they are no UTF-8; lone surrogates are escaped; None is empty."""
    array = np.array([b"plain", b"\xff", None, 7, "\ud800"], object)
    assert there_and_back(array).tolist() == ["plain", "\\xff", "", "7", "\\ud800"]


def test_strided_arrays_are_written_in_order() -> None:
    """A transposed or sliced view is written as it reads."""
    array = np.arange(12, dtype="<i4").reshape(3, 4).T[::2]
    assert there_and_back(array).tolist() == array.tolist()


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_joined_texts_are_the_texts_one_after_the_other(parts: list[list[str]]) -> None:
    """Columns of several blocks make one column."""
    clean = [[text.encode("utf-8", "ignore").decode() for text in part] for part in parts]
    back = joined(*(np.array([*part, None], object)[:-1] for part in clean))
    assert isinstance(back, Texts)
    assert back.tolist() == [text for part in clean for text in part]


@given(st.lists(st.one_of(st.text(max_size=3), st.lists(st.text(max_size=3), max_size=5)), max_size=5))
def test_texts_that_many_share_are_kept_once(parts: list[str | list[str]]) -> None:
    """A list of texts, or one that stands three times, become one column in which no text is twice."""
    sizes = [3 if isinstance(part, str) else len(part) for part in parts]
    column = categories(zip(parts, sizes, strict=True))
    expected = [text for part in parts for text in ([part] * 3 if isinstance(part, str) else part)]
    assert column.tolist() == expected
    assert len(column) == len(expected)
    assert len(set(column.texts)) == len(column.texts)


@pytest.mark.parametrize("texts", [["a", "é", ""], ["", "", ""]])
def test_repeated_values_stand_as_often_as_asked(texts: list[str]) -> None:
    """Row i of a repeated column stands times[i] times, whatever it holds."""
    times = np.array([2, 0, 3])
    expected = [text for text, count in zip(texts, times, strict=True) for _ in range(count)]
    column = repeat(there_and_back(np.array(texts, object)), times)
    assert isinstance(column, Texts)
    assert column.tolist() == expected
    numbers = repeat(np.array([1, 2, 3]), times)
    assert isinstance(numbers, np.ndarray)
    assert numbers.tolist() == [1, 1, 3, 3, 3]
