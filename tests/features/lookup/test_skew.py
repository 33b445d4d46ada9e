"""Sent against stored values: every row is in exactly one count, and counts add."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.lookup.skew import FeatureSkew, SentColumn, StoredColumn, compare, skew_report
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature

FLOAT = Feature("x", "float32")


def compared(
    feature: Feature, sent: list[object], stored: list[object], statuses: list[FeatureStatus]
) -> FeatureSkew:
    """Compare a few rows; None was sent as null."""
    kind = object if feature.dtype == "string" else feature.dtype
    values = np.array([0 if value is None else value for value in sent], kind)
    nulls = np.array([value is None for value in sent], bool)
    return compare(
        feature, SentColumn(values, nulls), StoredColumn(np.array(stored, kind), np.array(statuses, np.uint8))
    )


def test_each_row_is_counted_for_what_it_is() -> None:
    """Equal, different, stale, only sent, only stored, and neither."""
    fresh, stale, missing = FeatureStatus.FRESH, FeatureStatus.STALE, FeatureStatus.MISSING
    found = compared(
        FLOAT,
        [1.0, 2.0, 3.0, 4.0, None, None],
        [1.0, 2.5, 3.0, 0.0, 5.0, 0.0],
        [fresh, fresh, stale, missing, fresh, missing],
    )
    assert found == FeatureSkew(compared=3, mismatched=1, stale=1, missing=1, extra=1)
    assert found.rows == 5
    assert found.mismatch_rate == 1 / 3


def test_what_was_rounded_on_its_way_is_the_same() -> None:
    """A value that went through single precision does not mismatch; another unit does."""
    fresh = FeatureStatus.FRESH
    assert compared(FLOAT, [0.1], [np.float32(0.1)], [fresh]).mismatched == 0
    assert compared(FLOAT, [100.0], [0.1], [fresh]).mismatched == 1


def test_whole_numbers_are_compared_exactly() -> None:
    """One more is another number, however large; a column of floats is sent what the model would get."""
    fresh, large = FeatureStatus.FRESH, 2**60
    found = compared(Feature("n", "int64"), [large, large + 1], [large, large], [fresh] * 2)
    assert found == FeatureSkew(compared=2, mismatched=1)
    sent = SentColumn(np.array([2**24, 2**24 + 2], np.float32), np.zeros(2, bool))
    stored = StoredColumn(np.array([2**24 + 1] * 2), np.zeros(2, np.uint8))
    assert compare(Feature("n", "int64"), sent, stored) == FeatureSkew(compared=2, mismatched=1)


def test_defaults_and_nulls_are_not_what_is_stored() -> None:
    """Only what is stored and served counts as stored."""
    statuses = [FeatureStatus.DEFAULTED, FeatureStatus.NULL, FeatureStatus.TIMEOUT]
    assert compared(Feature("n", "int64"), [1, 1, 1], [1, 1, 1], statuses) == FeatureSkew(missing=3)


def test_nan_was_not_sent() -> None:
    """A client that sends NaN sends nothing."""
    assert compared(FLOAT, [np.nan], [1.0], [FeatureStatus.FRESH]) == FeatureSkew(extra=1)


def test_strings_and_vectors() -> None:
    """Strings compare as they are; a vector differs if one of its values does."""
    fresh = FeatureStatus.FRESH
    assert compared(Feature("s", "string"), ["a", "b"], ["a", "c"], [fresh] * 2).mismatched == 1
    sent = np.array([[1, 2], [3, 4]], np.float32)
    stored = StoredColumn(np.array([[1, 2], [3, 5]], np.float32), np.zeros(2, np.uint8))
    found = compare(Feature("v", "float32", length=2), SentColumn(sent, np.zeros(2, bool)), stored)
    assert found == FeatureSkew(compared=2, mismatched=1)


@given(
    rows=st.lists(
        st.tuples(
            st.floats(-10, 10, width=32) | st.none(),
            st.floats(-10, 10, width=32),
            st.sampled_from(FeatureStatus),
        )
    ),
    cut=st.integers(0, 20),
)
def test_counts_of_parts_add_up(rows: list[tuple[float | None, float, FeatureStatus]], cut: int) -> None:
    """Comparing in parts gives what comparing at once gives."""

    def of(part: list[tuple[float | None, float, FeatureStatus]]) -> FeatureSkew:
        return compared(FLOAT, [it[0] for it in part], [it[1] for it in part], [it[2] for it in part])

    assert of(rows[:cut]) + of(rows[cut:]) == of(rows)


def test_the_report_begins_with_the_worst() -> None:
    """Features that were never seen are left out of it."""
    rows = skew_report(
        [
            ("fine", FeatureSkew(compared=10)),
            ("unseen", FeatureSkew()),
            ("wrong", FeatureSkew(compared=10, mismatched=5, missing=10)),
        ]
    )
    assert [(row.feature, row.mismatch_rate, row.missing_rate) for row in rows] == [
        ("wrong", 0.5, 0.5),
        ("fine", 0.0, 0.0),
    ]
