"""Comparing two versions: pairs, flips, differences, times and the rows that differ most."""

import math

import numpy as np
import pytest

from driftgate.monitoring.log.compare import Comparison, RecordedColumn, VersionRecords, compare, differences
from driftgate.monitoring.log.record import Array

IDS = ("a", "a", "b", "c")
ROWS = np.array([0, 1, 0, 0], np.int32)


def numbers(*values: float) -> Array:
    """A column of numbers."""
    return np.array(values, np.float32)


def texts(*values: str) -> Array:
    """A column of texts."""
    return np.array(values, object)


def records(
    *columns: RecordedColumn, order: tuple[int, ...] = (0, 1, 2, 3), ms: float = 1.0
) -> VersionRecords:
    """Four records of three predictions, in some order."""
    places = list(order)
    return VersionRecords(
        [IDS[place] for place in places],
        ROWS[places],
        np.zeros(len(places), np.int64),
        np.full(len(places), int(ms * 2e6), np.int64),
        np.full(len(places), int(ms * 1e6), np.int64),
        tuple(RecordedColumn(one.name, one.meaning, one.values[places]) for one in columns),
    )


def score(*values: float, meaning: str = "output:score", name: str = "y") -> RecordedColumn:
    """A score for each of the four records."""
    return RecordedColumn(name, meaning, numbers(*values))


def test_pairs_are_found_by_prediction_and_row() -> None:
    """The order of records does not matter, and records without a partner are left out."""
    found = compare(records(score(1, 2, 3, 4)), records(score(1, 2, 3, 5), order=(3, 1, 0)))
    assert found.pairs == 3
    assert [(one.name, one.role, one.differing) for one in found.outputs] == [("y", "score", 1)]
    assert found.outputs[0].quantiles == {"p50": 0.0, "p90": 1.0, "p99": 1.0, "max": 1.0}


def test_without_pairs_there_is_nothing_to_say() -> None:
    """No common row: no figures."""
    assert compare(
        records(score(1, 2, 3, 4), order=(0, 1)), records(score(1, 2, 3, 4), order=(2,))
    ) == Comparison(0)


def test_times_are_those_of_the_pairs() -> None:
    """Each version's time of a call, in milliseconds."""
    found = compare(records(score(1, 2, 3, 4), ms=2.0), records(score(1, 2, 3, 4), ms=20.0))
    assert (found.infer_ms_a["p99"], found.infer_ms_b["p99"]) == (2.0, 20.0)


@pytest.mark.parametrize(
    ("a", "b", "flips"),
    [
        ([RecordedColumn("label", "output:prediction", texts("x", "x", "y", "y"))],
         [RecordedColumn("label", "output:prediction", texts("x", "y", "y", "x"))], 2),
        ([RecordedColumn("label", "output:prediction", np.array([1, 1, 0, 0]))],
         [RecordedColumn("label", "output:prediction", np.array([1, 1, 1, 0]))], 1),
        ([score(0.4, 0.6, 0.5, 0.1, meaning="output:probabilities")],
         [score(0.6, 0.7, 0.4, 0.2, meaning="output:probabilities")], 2),
        ([score(0.4, 0.6, 0.5, 0.1, meaning="output:probabilities", name="p.x"),
          score(0.6, 0.4, 0.6, 0.9, meaning="output:probabilities", name="p.y")],
         [score(0.3, 0.3, 0.5, 0.1, meaning="output:probabilities", name="p.x"),
          score(0.7, 0.7, 0.6, 0.9, meaning="output:probabilities", name="p.y")], 1),
        ([score(1, 2, 3, 4, meaning="output:prediction")],
         [score(2, 3, 4, 5, meaning="output:prediction")], None),
        ([score(1, 2, 3, 4)], [score(1, 2, 3, 4)], None),
    ],
    ids=["labels", "integers", "one probability", "classes", "regression", "scores"],
)  # fmt: skip
def test_flips_are_other_decisions(
    a: list[RecordedColumn], b: list[RecordedColumn], flips: int | None
) -> None:
    """A decision is a label, else the likeliest class; a measured number decides nothing."""
    assert compare(records(*a), records(*b)).flips == flips


def test_the_worst_rows_come_with_inputs_and_both_answers() -> None:
    """Rows that differ most come first; rows that do not differ are not among them."""
    inputs = RecordedColumn("age", "input", numbers(10, 20, 30, 40))
    found = compare(records(inputs, score(1, 2, 3, 4)), records(inputs, score(1, 9, 3, 5)), worst=3)
    assert [(row.prediction_id, row.row, row.difference) for row in found.worst] == [
        ("a", 1, 7.0),
        ("c", 0, 1.0),
    ]
    assert (found.worst[0].inputs, found.worst[0].a, found.worst[0].b) == (
        {"age": 20.0},
        {"y": 2.0},
        {"y": 9.0},
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (numbers(1, math.nan, math.inf), numbers(1.5, math.nan, math.inf), [0.5, 0, 0]),
        (numbers(math.nan, 1), numbers(1, -math.inf), [math.inf, math.inf]),
        (texts("a", "b"), texts("a", "c"), [0, 1]),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.5], [2.0, 4.0]]), [0.5, 1]),
        (np.array([True, False]), np.array([True, True]), [0, 1]),
        (numbers(1, 2), np.array([[1.0, 2.0], [3.0, 4.0]]), [math.inf, math.inf]),
    ],
    ids=["same", "no number", "texts", "several", "booleans", "other shapes"],
)
def test_how_far_values_are_apart(a: Array, b: Array, expected: list[float]) -> None:
    """Equal is zero, whatever the value; a number and none are infinitely far apart."""
    assert differences(a, b).tolist() == expected
