"""Feature views: what makes one sound, and what names it."""

from typing import Any

import msgspec
import pytest

from driftgate.features.errors import InvalidView
from driftgate.features.views.view import ROW_FORMAT, Feature, FeatureView, JoinKey, check_view

from harness.feature_rows import float_view

VIEW = float_view()


def changed(**fields: Any) -> FeatureView:
    """Return VIEW with other fields."""
    return msgspec.structs.replace(VIEW, **fields)


@pytest.mark.parametrize(
    ("fields", "keeps_rows"),
    [
        ({"ttl_s": 1.0}, True),
        ({"owner": "us"}, True),
        ({"features": (*VIEW.features[:-1], Feature("f3", "float32", unit="m", on_stale="null"))}, True),
        ({"features": VIEW.features[:-1]}, False),
        ({"features": VIEW.features[::-1]}, False),
        ({"features": (*VIEW.features[:-1], Feature("f3", "float64"))}, False),
        ({"features": (*VIEW.features[:-1], Feature("f3", "float32", length=2))}, False),
        ({"join_keys": (JoinKey("card", "int64"),)}, False),
        ({"name": "other"}, False),
    ],
)
def test_names_and_types_are_the_schema(fields: dict[str, Any], keeps_rows: bool) -> None:
    """Documentation, TTL and policies leave rows readable; names, types and order do not."""
    other = changed(**fields)
    assert (other.schema_id == VIEW.schema_id) == keeps_rows
    assert other.digest != VIEW.digest
    assert other.schema_id & 0xFF == ROW_FORMAT


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"join_keys": ()}, "join_keys"),
        ({"join_keys": tuple(JoinKey(f"k{number}") for number in range(9))}, "join_keys"),
        ({"join_keys": (JoinKey("f0"),)}, r"features\[0\].name"),
        ({"join_keys": (JoinKey("a\u2028"),)}, r"join_keys\[0\].name"),
        ({"features": ()}, "features"),
        ({"features": (Feature("x" * 129, "bool"),)}, r"features\[0\].name"),
        ({"features": (Feature("a", "bool", length=70_000),)}, "features: together"),
        ({"features": (Feature("a", "bool", on_stale="default"),)}, r"features\[0\].default"),
        ({"features": (Feature("a", "bool", default=True),)}, "nothing uses it"),
    ],
)
def test_what_is_no_sound_view_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    """Names, counts and sizes out of bounds say where."""
    with pytest.raises(InvalidView, match=place):
        check_view(changed(**fields))


@pytest.mark.parametrize(
    ("dtype", "length", "default", "fits"),
    [
        ("float32", 1, 1, True),
        ("float32", 1, 1e39, False),
        ("float64", 1, 1e39, True),
        ("float64", 1, float("nan"), False),
        ("float64", 1, True, False),
        ("int32", 1, 2**31 - 1, True),
        ("int32", 1, 2**31, False),
        ("int32", 1, 1.0, False),
        ("int64", 1, -(2**63), True),
        ("int64", 1, 2**63, False),
        ("bool", 1, False, True),
        ("bool", 1, 0, False),
        ("string", 1, "", True),
        ("string", 1, 7, False),
        ("float32", 2, (1.0, 2.0), True),
        ("float32", 2, (1.0,), False),
        ("float32", 2, 1.0, False),
        ("float32", 1, (1.0,), False),
    ],
)
def test_a_default_is_a_value_of_its_feature(dtype: Any, length: int, default: Any, fits: bool) -> None:
    """A default of another type, size or range is refused."""
    feature = Feature("a", dtype, length, default=default, on_missing="default")
    view = changed(features=(feature,))
    if fits:
        assert check_view(view) is view
        return
    with pytest.raises(InvalidView, match=r"features\[0\].default"):
        check_view(view)
