"""Where Feast keeps features in Redis."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.feast.layout import (
    FeastJoinKey,
    FeastKeyType,
    event_time_field,
    feature_field,
    hash_key,
    murmur3_x86_32,
)

DRIVER = FeastJoinKey("driver_id", FeastKeyType.INT64)
CITY = FeastJoinKey("city", FeastKeyType.STRING)


def test_a_key_is_what_feast_makes_of_it() -> None:
    """driver_id = 1001 of the project demo has the key that Feast's own code writes."""
    expected = "0100000002000000090000006472697665725f69640400000008000000e90300000000000064656d6f"
    assert hash_key("demo", [DRIVER], [1001]).hex() == expected


def test_a_field_is_what_feast_makes_of_it() -> None:
    """A feature's field has the name that Feast's own code writes; the event time's is plain."""
    assert feature_field("driver_hourly_stats", "conv_rate").hex() == "6160e3da"
    assert event_time_field("driver_hourly_stats") == b"_ts:driver_hourly_stats"


def test_join_keys_lie_in_the_order_of_their_names() -> None:
    """All names come first, then all values, both in the order of the names, however a view declares them."""
    expected = (
        "02000000" + "02000000" + "04000000" + b"city".hex() + "02000000" + "09000000" + b"driver_id".hex()
        + "02000000" + "04000000" + b"Lyon".hex() + "04000000" + "08000000" + "0700000000000000" + b"p".hex()
    )  # fmt: skip
    assert hash_key("p", [CITY, DRIVER], ["Lyon", 7]).hex() == expected
    assert hash_key("p", [DRIVER, CITY], [7, "Lyon"]).hex() == expected


@pytest.mark.parametrize(
    ("kind", "value", "content"),
    [
        (FeastKeyType.INT32, -1, "03000000" + "04000000" + "ffffffff"),
        (FeastKeyType.UNIX_TIMESTAMP, 1, "08000000" + "08000000" + "0100000000000000"),
        (FeastKeyType.BYTES, b"\x00", "01000000" + "01000000" + "00"),
        (FeastKeyType.STRING, "é", "02000000" + "02000000" + "c3a9"),
    ],
)
def test_a_value_lies_as_its_type_says(kind: FeastKeyType, value: str | int | bytes, content: str) -> None:
    """A value is its type, its size and its bytes, little-endian."""
    assert hash_key("", [FeastJoinKey("k", kind)], [value]).hex().endswith(content)


@pytest.mark.parametrize(
    ("kind", "value"), [(FeastKeyType.INT32, 2**31), (FeastKeyType.STRING, 1), (FeastKeyType.INT64, "1")]
)
def test_a_value_that_its_type_cannot_hold_is_refused(kind: FeastKeyType, value: str | int) -> None:
    """A value that does not fit its type names the join key instead of finding somebody else."""
    with pytest.raises(ValueError, match="join key k"):
        hash_key("p", [FeastJoinKey("k", kind)], [value])


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"", 0xFFFFFFFF, 0x81F16F39),
        (b"\x00\x00\x00\x00", 0, 0x2362F9DE),
        (b"aaaa", 0x9747B28C, 0x5A97808A),
        (b"aaa", 0x9747B28C, 0x283E0130),
        (b"Hello, world!", 0x9747B28C, 0x24884CBA),
    ],
)
def test_murmur3_is_the_published_one(data: bytes, seed: int, expected: int) -> None:
    """MurmurHash3_x86_32 gives the published check values, with and without a tail."""
    assert murmur3_x86_32(data, seed) == expected


@given(st.permutations([(DRIVER, 5), (CITY, "Nice"), (FeastJoinKey("a", FeastKeyType.INT64), -1)]))
def test_the_declared_order_does_not_matter(pairs: Sequence[tuple[FeastJoinKey, str | int]]) -> None:
    """One entity has one key, whatever the order in which its join keys are declared."""
    keys, values = zip(*pairs, strict=True)
    usual = [(CITY, "Nice"), (DRIVER, 5), (FeastJoinKey("a", FeastKeyType.INT64), -1)]
    usual_keys, usual_values = zip(*usual, strict=True)
    assert hash_key("p", keys, values) == hash_key("p", usual_keys, usual_values)
