"""What a request sends itself of what is stored."""

import time
from pathlib import Path

import msgspec
import numpy as np

from driftgate.gateway.serving.batch import whole
from driftgate.gateway.serving.enrichment import Enricher
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.state.skew_counters import read_skew

from harness.enriching import MATRIX, enriched, enricher, exchange_of, known_store, manifest, served_version


def test_what_is_sent_counts_in_place_of_what_is_stored(tmp_path: Path) -> None:
    """Overridable values that are sent are used and marked; NaN and empty texts are looked up."""
    served = served_version(False)
    exchange = exchange_of(
        served,
        [("ann", 1, 0), ("ann", 1, 0)],
        False,
        age=np.array([[33.0], [np.nan]], np.float32),
        city=np.array([[""], ["Rom"]], object),
    )
    other = exchange_of(served, [("bob", 1, 0)], False)
    assert enriched(enricher(tmp_path), served, [exchange, other]) == [exchange, other]
    assert whole(exchange).feeds["x"][:, MATRIX.index("age")].tolist() == [33.0, 10.0]
    assert whole(exchange).feeds["city"].ravel().tolist() == ["Ulm", "Rom"]
    assert exchange.features is not None
    assert exchange.features.rows.status[0:2][:, :3].tolist() == [[6, 0, 0], [0, 0, 6]]
    assert b"sent=2" in exchange.features.fields
    assert whole(other).feeds["x"][:, MATRIX.index("age")].tolist() == [20.0]


def skew_counts(path: Path, feature: str) -> list[int]:
    """What was counted of a feature: compared, mismatched, stale, missing, extra."""
    made = manifest(False)
    found = {
        key[2:]: skew for key, skew in read_skew([path]).items() if key[:2] == (made.name, str(made.version))
    }
    return list(msgspec.structs.astuple(found["people", feature]))


def test_skew_is_of_requests_that_send_the_column(tmp_path: Path) -> None:
    """Whoever shares a turn changes nothing; what a default stands for is not compared."""
    served = served_version(False)
    users = ("ann", "bob", "ann", "dan", "cat")
    age = np.array([[33.0], [20.0], [np.nan], [1.0], [1.0]], np.float32)
    sender = exchange_of(served, [(user, 1, 0) for user in users], False, age=age)
    silent = exchange_of(served, [("ann", 1, 0)], False, age=np.full((1, 1), np.nan, np.float32))
    other = exchange_of(served, [("bob", 1, 0)], False)
    assert len(enriched(enricher(tmp_path), served, [other, sender, silent])) == 3
    assert skew_counts(tmp_path, "age") == [2, 1, 0, 1, 1]


def test_a_stale_value_is_compared_where_the_policy_keeps_it(tmp_path: Path) -> None:
    """A value that a policy has replaced is not known any more, so it is no mismatch."""
    served = served_version(False)
    sent = {"age": np.array([[10.0]], np.float32), "city": np.array([["Ulm"]], object)}
    later = Enricher(
        known_store(), FeatureCounters(tmp_path / "counts"), 10, lambda: time.time_ns() + 7200 * 10**9
    )
    assert len(enriched(later, served, [exchange_of(served, [("ann", 1, 0)], False, **sent)])) == 1
    assert skew_counts(tmp_path, "age") == [1, 0, 1, 0, 0]
    assert skew_counts(tmp_path, "city") == [0, 0, 0, 0, 0]
