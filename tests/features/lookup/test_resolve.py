"""What the model gets of what a store has; the cases for all stores compare it with plain look-ups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.lookup.resolve import Resolver, resolve
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US, decode_rows, encode_rows, never_written
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.status import Fault, FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.feature_conformance import EVERYTHING, NOW_US
from harness.feature_rows import SECOND_US, float_rows, float_view

VIEW = float_view(ttl_s=60.0)
LAYOUT = RowLayout.of(VIEW)


def stored(event_us: int, value: float = 1.0) -> list[bytes | None]:
    return list(encode_rows(LAYOUT, float_rows(VIEW, ["a"], event_us, value)))


def stored_null() -> bytes:
    rows = float_rows(VIEW, ["a"], NOW_US, 1.0)
    return encode_rows(LAYOUT, rows._replace(nulls={"f1": np.array([True])}))[0]


def test_the_all_fresh_case_copies_nothing() -> None:
    """Where everything is fresh the model gets the stored values themselves, and no masks are made."""
    rows = decode_rows(LAYOUT, stored(NOW_US - SECOND_US) * 3)
    got = resolve(VIEW, rows, NOW_US)
    assert got.blocks is rows.blocks
    assert (got.absent, got.defaulted, got.refused) == (None, None, None)
    assert got.is_fresh
    assert got.age_s.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("event_us", "status"),
    [
        (NOW_US - 60 * SECOND_US, FeatureStatus.FRESH),
        (NOW_US - 60 * SECOND_US - 1, FeatureStatus.STALE),
        (NOW_US + FUTURE_ALLOWANCE_US, FeatureStatus.FRESH),
        (NOW_US + FUTURE_ALLOWANCE_US + 1, FeatureStatus.MISSING),
        (1, FeatureStatus.STALE),
    ],
)
def test_the_ttl_counts_from_event_time(event_us: int, status: FeatureStatus) -> None:
    """To the microsecond, whoever is beside it in the turn."""
    raw = [*stored(NOW_US), *stored(event_us), None]
    got = resolve(VIEW, decode_rows(LAYOUT, raw), NOW_US)
    assert got.status[:, 0].tolist() == [FeatureStatus.FRESH, status, FeatureStatus.MISSING]
    assert resolve(VIEW, decode_rows(LAYOUT, raw[1:2]), NOW_US).status[0, 0] == status


def test_without_a_ttl_nothing_is_stale() -> None:
    """A view without TTL serves what it has, however old."""
    view = float_view()
    view = FeatureView(view.name, view.join_keys, view.features, None)
    rows = decode_rows(LAYOUT, stored(1))
    assert Resolver(RowLayout.of(view)).resolve(rows, NOW_US).is_fresh


def test_faults_are_missing_with_their_reason() -> None:
    """Damaged rows and those of the future are MISSING and named; ages are not a number."""
    raw = [stored(NOW_US)[0], b"damaged", *stored(NOW_US + 2 * FUTURE_ALLOWANCE_US)]
    got = resolve(VIEW, decode_rows(LAYOUT, raw), NOW_US)
    assert got.faults == {1: Fault.CORRUPT, 2: Fault.FUTURE}
    assert got.status[:, 0].tolist() == [FeatureStatus.FRESH, FeatureStatus.MISSING, FeatureStatus.MISSING]
    assert np.isnan(got.age_s[1:]).all()
    assert np.isnan(got.columns["f0"][1:]).all()


def test_a_store_that_did_not_answer_is_timeout_with_the_defaults_in_place() -> None:
    """TIMEOUT stays visible where a default is used, and where the policy refuses."""
    got = resolve(EVERYTHING, never_written(RowLayout.of(EVERYTHING), 2, Fault.TIMEOUT), NOW_US)
    assert (got.status == FeatureStatus.TIMEOUT).all()
    assert got.columns["amount"].tolist() == [-1.5, -1.5]
    assert got.columns["city"].tolist() == ["nowhere", "nowhere"]
    assert got.columns["taste"].tolist() == [[0.0, 0.5, 1.0]] * 2
    assert got.defaulted is not None
    assert got.refused is not None
    names = [feature.name for feature in EVERYTHING.features]
    assert [name for name, one in zip(names, got.defaulted[0], strict=True) if one] == [
        "amount",
        "count",
        "is_new",
        "city",
        "taste",
    ]
    assert [name for name, one in zip(names, got.refused[0], strict=True) if one] == ["rank"]


def test_a_store_may_lack_single_features() -> None:
    """What a store says is missing of one feature leaves the others of the entity fresh."""
    rows = decode_rows(LAYOUT, stored(NOW_US) * 2)
    missing = np.zeros((2, 4), bool)
    missing[1, 2] = True
    got = resolve(VIEW, rows._replace(missing=missing), NOW_US)
    assert np.argwhere(got.status).tolist() == [[1, 2]]
    assert got.status[1, 2] == FeatureStatus.MISSING


@given(
    st.lists(
        st.sampled_from(
            [
                *stored(NOW_US) * 3,
                *stored(NOW_US - 60 * SECOND_US, np.inf),
                *stored(NOW_US - 61 * SECOND_US),
                *stored(NOW_US + 2 * FUTURE_ALLOWANCE_US),
                *stored(NOW_US, np.nan),
                stored_null(),
                b"damaged",
                b"",
                None,
            ]
        ),
        max_size=4,
    )
)
def test_fresh_rows_are_read_the_short_way_and_no_others(packed: list[bytes | None]) -> None:
    """The short way gives just what the general one does, and gives nothing unless everything is fresh."""
    general = resolve(VIEW, decode_rows(LAYOUT, packed), NOW_US)
    short = Resolver(LAYOUT).fresh(packed, NOW_US)
    assert (short is not None) == (general.is_fresh and len(packed) > 0)
    if short is not None:
        assert short.times_us == short.event_time_us.tolist() == general.event_time_us.tolist()
        assert short.blocks["float32"].tobytes() == general.blocks["float32"].tobytes()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 0.0, -0.0])
def test_infinity_and_zero_are_values(value: float) -> None:
    """Only NaN counts as missing."""
    got = resolve(VIEW, decode_rows(LAYOUT, stored(NOW_US, value)), NOW_US)
    assert got.is_fresh
    assert got.columns["f0"][0] == value


def test_the_numbers_of_statuses_never_change() -> None:
    """They are written to logs."""
    names = ["FRESH", "STALE", "NULL", "MISSING", "DEFAULTED", "TIMEOUT"]
    assert [FeatureStatus(number).name for number in range(6)] == names


def test_rows_without_floats_resolve() -> None:
    """A view of strings and whole numbers alone has no NaN to look for."""
    view = FeatureView("v", (JoinKey("k"),), (Feature("s", "string"), Feature("n", "int32")))
    got = resolve(view, never_written(RowLayout.of(view), 1), NOW_US)
    assert got.columns["s"].tolist() == [None]
    assert got.status.tolist() == [[FeatureStatus.MISSING, FeatureStatus.MISSING]]
