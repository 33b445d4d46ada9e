"""Rows that stored features complete, against a plain look-up in a data frame."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import FeatureStatus
from driftgate.gateway.errors import BadRequest, FeaturesMissing, FeaturesUnreachable, TooLarge
from driftgate.gateway.serving.batch import completed_together, whole
from driftgate.gateway.serving.enrichment import LONGEST_S

from harness.enriching import (
    MATRIX,
    PEOPLE,
    SIZES,
    USERS,
    Later,
    enriched,
    enricher,
    exchange_of,
    known_store,
    served_version,
    wanted,
)

ROW = st.tuples(st.sampled_from([*USERS, "dan"]), st.integers(0, 3), st.integers(0, 1))
REQUESTS = st.lists(st.lists(ROW, min_size=1, max_size=5), min_size=1, max_size=5)


@pytest.mark.parametrize("per_column", [False, True])
@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS)
def test_rows_are_those_of_a_plain_look_up(
    per_column: bool, requests: list[list[tuple[str, int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever requests come together, each row gets its entity's values, in its columns, or is refused."""
    served = served_version(per_column)
    exchanges = [exchange_of(served, rows, per_column) for rows in requests]
    ready = enriched(enricher(tmp_path_factory.getbasetemp()), served, exchanges)
    for exchange, rows in zip(exchanges, requests, strict=True):
        known = all((shop, hour) in SIZES for _, shop, hour in rows)
        assert (exchange in ready) == known
        if not known:
            assert isinstance(exchange.error, FeaturesMissing)
            continue
        inputs = whole(exchange).feeds
        for place, row in enumerate(rows):
            for name, value in wanted(*row).items():
                if name == "city":
                    found = inputs["city"][place, 0]
                else:
                    found = inputs[name][place, 0] if per_column else inputs["x"][place, MATRIX.index(name)]
                assert found == value or (pd.isna(value) and np.isnan(found))
            sent = (
                [inputs["a"][place, 0], inputs["b"][place, 0]] if per_column else inputs["x"][place, [0, 3]]
            )
            assert list(sent) == [2 * place, 2 * place + 1]
            assert inputs["hour"][place] == row[2]


def test_requests_share_one_question(tmp_path: Path) -> None:
    """All requests of a turn are one question, which names every entity once."""
    asked: list[Sequence[Lookup]] = []
    made = known_store()
    fetch = made.fetch

    def noting(lookups: Sequence[Lookup], budget_s: float, done: Callable[[Sequence[Fetched]], None]) -> None:
        asked.append(lookups)
        fetch(lookups, budget_s, done)

    source = Later(made)
    source.fetch = noting  # type: ignore[method-assign] # a store that notes what it is asked
    served = served_version(False)
    exchanges = [exchange_of(served, [("ann", 1, 0), ("bob", 1, 0)], False) for _ in range(3)]
    ready = enriched(enricher(tmp_path, source), served, exchanges)
    assert ready == exchanges
    (lookups,) = asked
    assert [len(lookup.keys) for lookup in lookups] == [2, 1]
    rows = completed_together([whole(exchange) for exchange in ready])
    assert rows is not None
    assert len(rows.status) == 6


def test_a_slow_store_holds_up_nobody_else(tmp_path: Path) -> None:
    """A store that answers later blocks nothing; a short deadline has a question of its own."""
    source = Later(known_store())
    served = served_version(False)
    patient, hurried = (exchange_of(served, [("ann", 1, 0)], False) for _ in range(2))
    hurried.deadline_ns = time.perf_counter_ns() + 10**8
    ready = enriched(enricher(tmp_path, source), served, [patient, hurried])
    assert ready == []
    short, long = source.budgets
    assert long == LONGEST_S
    assert 0 < short <= 0.02


def test_a_store_that_does_not_answer_costs_only_who_needs_it(tmp_path: Path) -> None:
    """Without an answer, defaults stand in; a feature that must be there is 503, not 422."""
    source = known_store()
    source.available = False
    served = served_version(False)
    exchange = exchange_of(served, [("ann", 1, 0)], False)
    assert enriched(enricher(tmp_path, source), served, [exchange]) == []
    assert isinstance(exchange.error, FeaturesUnreachable)
    assert "shops.size of row 0 is TIMEOUT" in str(exchange.error)


@pytest.mark.parametrize(
    ("user", "error", "problem"),
    [
        ("", BadRequest, "row 1, features of view 'people': join key 'user'"),
        ("a\r\nb", BadRequest, "control characters"),
        ("x" * 501, BadRequest, "1 to 500 bytes"),
    ],
)
def test_a_bad_key_fails_its_request_alone(
    user: str, error: type[Exception], problem: str, tmp_path: Path
) -> None:
    """A key that cannot be one is refused with its row; the others of the turn are completed."""
    served = served_version(False)
    bad = exchange_of(served, [("ann", 1, 0), (user, 1, 0)], False)
    good = exchange_of(served, [("bob", 2, 0)], False)
    assert enriched(enricher(tmp_path), served, [bad, good]) == [good]
    assert isinstance(bad.error, error)
    assert problem in str(bad.error)


def test_too_many_entities_are_refused(tmp_path: Path) -> None:
    """A request with more rows than may be looked up is refused before the store is asked."""
    source = Later(known_store())
    served = served_version(False)
    exchange = exchange_of(served, [("ann", 1, 0)] * 3, False)
    assert enriched(enricher(tmp_path, source, most=2), served, [exchange]) == []
    assert isinstance(exchange.error, TooLarge)
    assert source.waiting == []


def test_statuses_are_those_of_the_view(tmp_path: Path) -> None:
    """What is null, defaulted or never written is marked so, feature by feature, in the binding's order."""
    served = served_version(False)
    exchange = exchange_of(served, [("ann", 1, 0), ("bob", 1, 1), ("dan", 2, 0)], False)
    assert enriched(enricher(tmp_path), served, [exchange]) == [exchange]
    assert exchange.features is not None
    fresh, null, missing, default = (
        FeatureStatus.FRESH,
        FeatureStatus.NULL,
        FeatureStatus.MISSING,
        FeatureStatus.DEFAULTED,
    )
    assert exchange.features.rows.status[0:3].tolist() == [
        [fresh, fresh, fresh, fresh, fresh, fresh, fresh],
        [fresh, default, null, fresh, null, null, fresh],
        [default, default, missing, missing, missing, missing, fresh],
    ]
    assert served.features.names == (
        "people.age",
        "people.visits",
        "people.city",
        "people.taste",
        "people.orders",
        "people.member",
        "shops.size",
    )
    assert KeyCodec(PEOPLE).encode(("ann",)) not in exchange.features.fields
    assert b"x-defaulted: features" in exchange.features.fields
