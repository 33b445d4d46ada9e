"""One row of each entity stays in a window, whichever order the rows came in."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.windows.thinned_codec import decode_thinned, encode_thinned
from driftgate.monitoring.windows.thinned_rows import (
    MOST_ENTITIES,
    HeldRows,
    RowKeys,
    ThinnedRows,
    one_row_per_entity,
)

STARTS = np.array([0, 4])
CELLS, PAIRED = 7, 2


@given(st.lists(st.integers(0, 5), max_size=30))
def test_which_row_stays_does_not_depend_on_the_order(entities: list[int]) -> None:
    """The same rows in any order keep the same ones, one for each entity."""
    order = np.arange(len(entities))
    kept = one_row_per_entity(np.array(entities, np.int64), order)
    shuffled = np.random.default_rng(1).permutation(len(entities))
    again = one_row_per_entity(np.array(entities, np.int64)[shuffled], order[shuffled])
    assert set(order[kept]) == set(order[shuffled][again])
    assert int(kept.sum()) == len(set(entities))


def test_texts_may_be_entities() -> None:
    """Of each the row with the lowest order stays."""
    kept = one_row_per_entity(np.array(["b", "a", "b", "a"]), np.array([4, 3, 2, 1]))
    assert kept.tolist() == [False, False, True, True]


def rows_of(entities: list[int]) -> HeldRows:
    """Rows of entities, each with two cells, two flags and an order of its own."""
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 3, (2, len(entities))).astype(np.uint8)
    orders = rng.permutation(len(entities)).astype(np.uint64)
    return HeldRows(np.array(entities, np.uint64), orders, codes, rng.random((2, len(entities))) < 0.5)


def counted(parts: list[HeldRows]) -> ThinnedRows:
    """The counts of rows that come in parts; between them the state goes through bytes."""
    thinned = ThinnedRows.empty(CELLS, PAIRED)
    for part in parts:
        thinned.update(part, STARTS)
        thinned = decode_thinned(encode_thinned(thinned))
    return thinned


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 5), st.randoms())
def test_counts_do_not_depend_on_how_rows_are_split(entities: list[int], parts: int, random: Random) -> None:
    """In any order and parts, over restarts too, the same integers come of it."""
    rows, places = rows_of(entities), list(range(len(entities)))
    whole = counted([rows])
    random.shuffle(places)
    split = counted([rows.taken(np.array(places[start::parts], np.int64)) for start in range(parts)])
    assert encode_thinned(split) == encode_thinned(whole)
    assert whole.rows == len(set(entities))
    assert whole.counts.sum() == 2 * whole.rows


def test_a_million_entities_need_no_more_memory_than_some() -> None:
    """The entities with the smallest hashes are held, whichever came first."""
    entities = np.random.default_rng(8).integers(0, 2**63, 50_000).tolist()
    rows = rows_of(entities)
    thinned = counted([rows.taken(np.arange(start, start + 5_000)) for start in range(0, 50_000, 5_000)])
    assert thinned.held.entities.tolist() == sorted(entities)[:MOST_ENTITIES]
    assert (thinned.rows, thinned.counts.sum()) == (MOST_ENTITIES, 2 * MOST_ENTITIES)


def test_panes_add_up() -> None:
    """An hour has the counts of its minutes, and holds no rows."""
    first, second = counted([rows_of([1, 1, 2])]), counted([rows_of([1, 3])])
    expected = first.counts + second.counts
    first.merge(second)
    assert (first.rows, first.counts.tolist(), len(first.held.entities)) == (4, expected.tolist(), 0)


def test_keys_of_some_rows_are_theirs() -> None:
    """Entities and orders stay together."""
    keys = RowKeys(np.array([5, 6, 7], np.uint64), np.array([1, 2, 3], np.uint64)).taken(np.array([2, 0]))
    assert (keys.entities.tolist(), keys.orders.tolist()) == ([7, 5], [3, 1])
