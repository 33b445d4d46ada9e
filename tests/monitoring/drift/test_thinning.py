"""One row of each entity stays in a window, whichever order the rows came in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.drift.thinning import one_row_per_entity


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
