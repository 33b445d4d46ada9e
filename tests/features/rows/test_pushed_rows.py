"""Rows pushed as JSON: what fits is read exactly, everything else is refused by row and field."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.errors import InvalidRows, InvalidView, TooManyRows
from driftgate.features.rows.codec import encode_rows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.pushed_rows import MAX_ROWS, PushReader
from driftgate.features.views.keys import encode_key
from driftgate.features.views.view import Feature, FeatureView, JoinKey, check_view

VIEW = FeatureView(
    name="users",
    join_keys=(JoinKey("user"), JoinKey("shop", "int64")),
    features=(
        Feature("spend", "float32"),
        Feature("visits", "int32"),
        Feature("city", "string"),
        Feature("loyal", "bool"),
        Feature("place", "float64", length=2),
    ),
)
NOW_US = 1_800_000_000_000_000
ROW: dict[str, Any] = {
    "user": "ada",
    "shop": 7,
    "event_time": "2026-01-31T12:00:00.25+01:00",
    "spend": 1,
    "visits": -3,
    "city": "Lyon",
    "loyal": True,
    "place": [45.75, 4],
}
ROW_TEXT = msgspec.json.encode(ROW).decode()
OPEN_ROW = ROW_TEXT.removesuffix("}")
READER = PushReader(VIEW)


def body(*rows: Any) -> bytes:
    """Return the body of a push."""
    return msgspec.json.encode({"rows": rows})


def test_a_row_is_read_exactly() -> None:
    """Keys, time in any zone, values and nulls come out as they were sent."""
    nothing = {**ROW, **dict.fromkeys(("spend", "visits", "city", "loyal", "place"))}
    rows = READER.read(body(ROW, nothing), NOW_US)
    assert rows.keys == [encode_key(VIEW, ("ada", 7))] * 2
    assert rows.event_time_us.tolist() == [1_769_857_200_250_000] * 2
    first = {name: column[:1].tolist()[0] for name, column in rows.columns.items()}
    assert first == {"spend": 1.0, "visits": -3, "city": "Lyon", "loyal": True, "place": [45.75, 4.0]}
    assert set(rows.nulls) == set(rows.columns)
    assert all(nulls.tolist() == [False, True] for nulls in rows.nulls.values())
    assert len(encode_rows(RowLayout.of(VIEW), rows)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": ""}, "row 0: join key 'user': 1 to 500 bytes"),
        ({"user": "x" * 10_000}, "row 0: join key 'user': 1 to 500 bytes"),
        ({"user": "a\r\nSET x 1"}, "row 0: join key 'user': control characters"),
        ({"user": 7}, "row 0: join key 'user': a string is needed"),
        ({"user": None}, "row 0: join key 'user': a string is needed"),
        ({"user": ["a"] * 100_000}, "row 0: join key 'user': a string is needed"),
        ({"shop": "7"}, "row 0: join key 'shop': a whole number is needed"),
        ({"shop": True}, "row 0: join key 'shop': a whole number is needed"),
        ({"shop": 2**63}, "row 0: join key 'shop': the number is outside int64"),
        ({"event_time": 1_700_000_000}, "row 0, event_time: a time such as"),
        ({"event_time": "yesterday"}, "row 0, event_time: a time such as"),
        ({"event_time": "2030-01-01T00:00:00Z"}, "row 0, event_time: .* is not between 1970 and now"),
        ({"event_time": "1969-01-01T00:00:00Z"}, "row 0, event_time: .* is not between 1970 and now"),
        ({"event_time": "0001-01-01T00:00:00+14:00"}, "row 0, event_time: "),
        ({"spend": "1"}, "row 0, 'spend': \"1\" is no float32"),
        ({"spend": True}, "row 0, 'spend': true is no float32"),
        ({"spend": 1e39}, "row 0, 'spend': 1e39 is no float32"),
        ({"visits": 2**31}, "row 0, 'visits': 2147483648 is no int32"),
        ({"visits": 1.0}, "row 0, 'visits': 1.0 is no int32"),
        ({"city": 1}, "row 0, 'city': 1 is no string"),
        ({"city": "x" * 20_000}, "row 0, 'city': \"x.*… is no string of at most 16384 bytes"),
        ({"loyal": 1}, "row 0, 'loyal': 1 is no bool"),
        ({"place": [1]}, r"row 0, 'place': \[1\] is no list of 2 float64"),
        ({"place": [1, None]}, r"row 0, 'place': \[1,null\] is no list of 2 float64"),
        ({"spent": 1}, "row 0: 'spent' is no feature of the view users"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    """The text names the row and the field, and shows no more of a value than its beginning."""
    with pytest.raises(InvalidRows, match=message):
        READER.read(body({**ROW, **change}), NOW_US)


@pytest.mark.parametrize("name", sorted(ROW))
def test_a_missing_field_is_named(name: str) -> None:
    """A row has every field; a feature that is not known is written as null."""
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(InvalidRows, match=f"row 1: '{name}' is missing"):
        READER.read(body(ROW, row), NOW_US)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rows": 1}',
        b'{"rows": [1]}',
        b'{"rows": [{"spend": NaN}]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_another_body_is_refused(data: bytes) -> None:
    """What is no push says how one looks; NaN is not JSON."""
    with pytest.raises(InvalidRows, match="the body must be JSON such as"):
        READER.read(data, NOW_US)


def test_a_push_is_bounded() -> None:
    """A push without rows is none; one with too many names the limit, by an error of its own."""
    with pytest.raises(InvalidRows, match="no rows"):
        READER.read(body(), NOW_US)
    with pytest.raises(TooManyRows, match=str(MAX_ROWS)):
        READER.read(body(*(ROW,) * (MAX_ROWS + 1)), NOW_US)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(name=st.sampled_from(sorted(ROW)), value=JSON)
def test_any_value_is_stored_or_refused(name: str, value: Any) -> None:
    """Whatever stands in a field, the row can be packed or is refused with a text of bounded length."""
    try:
        rows = READER.read(body({**ROW, name: value}), NOW_US)
    except InvalidRows as error:
        text = str(error)
    else:
        text = ""
        assert np.isfinite(rows.columns["spend"]).all()
        assert len(encode_rows(RowLayout.of(VIEW), rows)) == 1
    assert len(text) < 300


def test_no_feature_is_called_event_time() -> None:
    """The name of a row's time is taken, so that a push never means two things by it."""
    with pytest.raises(InvalidView, match=r"features\[0\]\.name: 'event_time' is the time of a row"):
        check_view(FeatureView("v", (JoinKey("user"),), (Feature("event_time", "int64"),)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'{{"rows": [{ROW_TEXT}, {OPEN_ROW}, "spend" : 2}}]}}', "row 1: a name is there twice"),
        (f'{{"rows": [{OPEN_ROW}, "city": "\\\\"}}]}}', "row 0: a name is there twice"),
        (f'{{"rows": [{ROW_TEXT}], "rows": [{ROW_TEXT}]}}', "'rows' once"),
    ],
)
def test_a_name_that_is_there_twice_is_refused(text: str, problem: str) -> None:
    """Which of two values is meant is for the sender to say, not for the parser."""
    with pytest.raises(InvalidRows, match=problem):
        READER.read(text.encode(), NOW_US)


@pytest.mark.parametrize("city", ['"a": 1', "\\", '\\"', ': "', "x\\\\", "\n:", '{"city":"'])
def test_text_that_looks_like_names_is_text(city: str) -> None:
    """Quotes, colons and backslashes in values count as no names."""
    assert READER.read(body({**ROW, "city": city}), NOW_US).columns["city"].tolist() == [city]
