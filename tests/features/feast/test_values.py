"""Reading Feast's values, with the protobuf library as the one that knows."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from driftgate.features.feast.protobuf_fields import BrokenMessage
from driftgate.features.feast.values import FeastValue, decode_timestamp, decode_value

from harness.feast_messages import value_of

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    1: st.binary(),
    2: st.text(st.characters(exclude_categories=["Cs"])),
    3: st.integers(-(2**31), 2**31 - 1),
    4: st.integers(-(2**63), 2**63 - 1),
    5: st.floats(allow_nan=False),
    6: st.floats(allow_nan=False, width=32),
    7: st.booleans(),
    8: st.integers(-(2**63), 2**63 - 1),
}
VALUES = st.sampled_from(sorted(SCALARS)).flatmap(
    lambda kind: st.one_of(
        st.tuples(st.just(kind), SCALARS[kind]), st.tuples(st.just(kind + 10), st.lists(SCALARS[kind]))
    )
)


@given(VALUES, st.booleans())
def test_what_protobuf_writes_is_read_back(value: tuple[int, FeastValue], packed: bool) -> None:
    """Every scalar and every list of scalars, packed or not, is read as it was written."""
    number, content = value
    assert decode_value(value_of(number, content, packed=packed)) == content


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("350000003f", 0.5),
        ("2000", 0),
        ("", None),
        ("980100", None),
        ("3801", True),
        ("18ffffffffffffffffff01", -1),
        ("35000000402005", 5),
    ],
)
def test_the_bytes_mean_what_feast_means_by_them(data: str, expected: FeastValue) -> None:
    """No bytes, and the null kind, are null; of several values the last one counts."""
    assert decode_value(bytes.fromhex(data)) == expected


def test_nan_stays_nan() -> None:
    """NaN is no null here; what it means is decided where freshness is."""
    assert np.isnan(decode_value(bytes.fromhex("350000c07f")))  # type: ignore[arg-type] # it is a float


def test_an_event_time_is_what_feast_makes_of_it() -> None:
    """Timestamp(1700000000 s, 5 ns) is read as microseconds."""
    assert decode_timestamp(bytes.fromhex("0880e2cfaa061005")) == 1_700_000_000_000_000


@given(st.integers(-62135596800, 253402300799), st.integers(0, 999_999_999))
def test_event_times_are_read_back(seconds: int, nanos: int) -> None:
    """Every Timestamp that protobuf allows is read to the microsecond."""
    data = Timestamp(seconds=seconds, nanos=nanos).SerializeToString()
    assert decode_timestamp(data) == seconds * 10**6 + nanos // 1000


@given(st.binary(max_size=64))
@example(bytes.fromhex("350000"))
@example(b"\x12\xff\xff\xff\xff\x0f")
@example(b"\x82\x01\x03\x0a\x01\x00")
def test_any_bytes_are_a_value_or_broken(data: bytes) -> None:
    """Bytes that are no value end in BrokenMessage and in nothing else."""
    for read in (decode_value, decode_timestamp):
        with suppress(BrokenMessage):
            read(data)


@pytest.mark.parametrize(
    "data",
    [
        "1a00",
        "2201ff",
        "3d00000000",
        "ca0100",
        "1201ff",
        "820105",
        "8201030a0100",
        "08ffffffffffffffffffff7f",
    ],
)
def test_what_is_no_value_is_broken(data: str) -> None:
    """Kinds that are not read, wrong wire types, texts that are no UTF-8 and halves of numbers are broken."""
    with pytest.raises(BrokenMessage):
        decode_value(bytes.fromhex(data))
