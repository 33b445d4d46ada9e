"""What is remembered of a distant store."""

import random

from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.redis.hot_rows import ENTRY_BYTES, HotRows

ROW_BYTES = 100
FOR_EVER = 1e9


def room_for(rows: int) -> int:
    """Return the bytes that so many rows take."""
    return rows * (ROW_BYTES + ENTRY_BYTES)


def test_a_row_is_remembered_until_it_expires() -> None:
    """A row is there before its time is over and not from then on."""
    hot: HotRows[str] = HotRows(room_for(10))
    hot.put("a", "row", ROW_BYTES, expires_s=5.0)
    kept = hot.get("a", 4.999)
    assert kept is not None
    assert kept.row == "row"
    assert hot.get("a", 5.0) is None
    assert hot.get("b", 0.0) is None


def test_nothing_can_be_remembered_too() -> None:
    """That there is no row is a row of its own, told from not knowing."""
    hot: HotRows[None] = HotRows(room_for(10))
    hot.put("a", None, 0, FOR_EVER)
    kept = hot.get("a", 0.0)
    assert kept is not None
    assert kept.row is None


def test_a_row_is_replaced() -> None:
    """The latest row under a key counts, and takes its own room only."""
    hot: HotRows[int] = HotRows(room_for(10))
    for row in range(3):
        hot.put("a", row, ROW_BYTES, FOR_EVER)
        kept = hot.get("a", 0.0)
        assert kept is not None
        assert kept.row == row
    assert hot.size_bytes == room_for(1)


def test_a_flood_of_keys_leaves_the_hot_ones() -> None:
    """A million keys that are wanted once pass by within bounds; the hot ones are still there."""
    hot: HotRows[int] = HotRows(room_for(1000))
    hottest = [("hot", number) for number in range(200)]
    asked = random.Random(5)
    for key in hottest:
        hot.put(key, 0, ROW_BYTES, FOR_EVER)
        assert hot.get(key, 0.0) is not None
    for number in range(1_000_000):
        hot.put(number, 0, ROW_BYTES, FOR_EVER)
        if number % 50 == 0:
            hot.get(asked.choice(hottest), 0.0)
    assert hot.size_bytes <= room_for(1000)
    assert len(hot) <= 1000
    assert all(hot.get(key, 0.0) is not None for key in hottest)


def test_an_expired_row_keeps_its_place() -> None:
    """A hot key whose row has expired stays hot: its next row is not on probation."""
    hot: HotRows[int] = HotRows(room_for(10))
    hot.put("hot", 0, ROW_BYTES, expires_s=1.0)
    assert hot.get("hot", 0.0) is not None
    assert hot.get("hot", 2.0) is None
    hot.put("hot", 1, ROW_BYTES, FOR_EVER)
    for number in range(100):
        hot.put(number, 0, ROW_BYTES, FOR_EVER)
    assert hot.get("hot", 2.0) is not None


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 3 * ROW_BYTES)), max_size=200),
    st.integers(1, 6),
)
def test_it_never_lies_and_never_outgrows(steps: list[tuple[bool, int, int]], rows: int) -> None:
    """What it gives is what was put last, and its size is that of its rows and within bounds."""
    hot: HotRows[int] = HotRows(room_for(rows))
    latest: dict[int, int] = {}
    for number, (putting, key, size) in enumerate(steps):
        if putting:
            hot.put(key, number, size, FOR_EVER)
            latest[key] = number
        else:
            kept = hot.get(key, 0.0)
            assert kept is None or kept.row == latest[key]
        assert 0 <= hot.size_bytes <= room_for(rows)
    assert (len(hot) == 0) == (hot.size_bytes == 0)
