"""The training frame equals what a store that held the history of that moment answers at that moment."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.embedded.history_parts import history_directory
from driftgate.features.errors import InvalidRows, StoreUnavailable
from driftgate.features.filling.history import table_columns
from driftgate.features.filling.tables import write_parquet
from driftgate.features.lookup.memory_store import MemoryFeatureStore
from driftgate.features.lookup.resolve import resolve
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.training.frame import FeatureSource, training_frame
from driftgate.features.views.keys import encode_key
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey

VIEW = FeatureView(
    name="users",
    join_keys=(JoinKey("user"), JoinKey("shop", "int64")),
    features=(
        Feature("spend", "float32", on_stale="null"),
        Feature("visits", "int64", default=-1, on_missing="default", on_stale="default"),
        Feature("city", "string"),
        Feature("loyal", "bool"),
        Feature("place", "float64", length=2),
    ),
    ttl_s=100.0,
)
BASE_US = 1_700_000_000_000_000
Event = tuple[str, int, int, int | None]
"""User, shop, seconds after the base, and a number that all features are made from; None is null."""

EVENTS = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.integers(1, 2), st.integers(0, 300), st.integers(0, 1000) | st.none()
    ),
    min_size=1,
    max_size=12,
)


def rows_of(events: list[Event]) -> EntityRows:
    """Return events as rows of the view."""
    numbers = np.array([event[3] or 0 for event in events])
    nulls = np.array([event[3] is None for event in events])
    return EntityRows(
        [encode_key(VIEW, event[:2]) for event in events],
        np.array([BASE_US + event[2] * 1_000_000 for event in events]),
        {
            "spend": (numbers / 2).astype(np.float32),
            "visits": numbers,
            "city": np.array([f"city {number}" for number in numbers], object),
            "loyal": numbers % 2 == 0,
            "place": np.stack([numbers, numbers + 0.5], axis=1),
        },
        {feature.name: nulls for feature in VIEW.features},
    )


def write_part(directory: Path, snapshot: int, part: int, table: dict[str, np.ndarray]) -> None:
    """Write one part of the history of a snapshot."""
    directory.mkdir(parents=True, exist_ok=True)
    write_parquet(directory / f"{snapshot:012}-{part:08}.parquet", table)


def load(state: Path, snapshot: int, events: list[Event]) -> None:
    """Write a snapshot's history, in two parts."""
    directory = history_directory(state / "features", VIEW.name)
    half = len(events) // 2
    for part, some in enumerate((events[:half], events[half:])):
        if some:
            keys = {
                "user": np.array([event[0] for event in some], object),
                "shop": np.array([event[1] for event in some]),
            }
            write_part(directory, snapshot, part, table_columns(VIEW, keys, rows_of(some)))


def served(events: list[Event], user: str, shop: int, at_s: int) -> tuple[list[object], list[str]]:
    """Return what a store with the events until `at_s` answers then: values, None if absent, and statuses."""
    store, answers = MemoryFeatureStore(), list[Fetched]()
    known = [event for event in events if event[2] <= at_s]
    if known:
        store.put(VIEW, rows_of(known))
    lookup = Lookup(RowLayout.of(VIEW), [encode_key(VIEW, (user, shop))])
    store.fetch([lookup], 1.0, answers.extend)
    resolved = resolve(VIEW, answers[0].stored, BASE_US + at_s * 1_000_000)
    absent = np.zeros((1, 5), bool) if resolved.absent is None else resolved.absent
    values = [
        None if absent[0, index] else np.asarray(column[0]).tolist()
        for index, column in enumerate(resolved.columns.values())
    ]
    return values, [FeatureStatus(code).name for code in resolved.status[0].tolist()]


def entities(asked: list[tuple[str, int, int]]) -> pd.DataFrame:
    """Return a frame of users, shops and times."""
    times = pd.to_datetime([BASE_US // 1_000_000 + at_s for _, _, at_s in asked], unit="s", utc=True)
    return pd.DataFrame(
        {"user": [it[0] for it in asked], "shop": [it[1] for it in asked], "event_time": times},
        index=range(100, 100 + len(asked)),
    )


@settings(max_examples=25, deadline=None)
@given(
    events=EVENTS,
    asked=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 2), st.integers(0, 500)), min_size=1),
)
def test_training_sees_what_serving_would_have_seen(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], asked: list[tuple[str, int, int]]
) -> None:
    """Values and statuses of every feature equal those of the store at the row's time, in the row's order."""
    state = tmp_path_factory.mktemp("state")
    load(state, 1, events)
    frame = training_frame(entities(asked), [VIEW], FeatureSource(state), statuses=True)
    assert list(frame.index) == list(range(100, 100 + len(asked)))
    for (_, row), (user, shop, at_s) in zip(frame.iterrows(), asked, strict=True):
        values, statuses = served(events, user, shop, at_s)
        assert [row[f"{feature.name}__status"] for feature in VIEW.features] == statuses
        for feature, value in zip(VIEW.features, values, strict=True):
            seen = row[feature.name]
            if value is None:
                assert seen is None or seen is pd.NA or np.isnan(seen)
            else:
                assert np.asarray(seen).tolist() == value


def test_a_later_snapshot_corrects_the_same_moment(tmp_path: Path) -> None:
    """Of two snapshots that tell the same moment differently the later one counts."""
    load(tmp_path, 1, [("a", 1, 0, 10)])
    load(tmp_path, 2, [("a", 1, 0, 20)])
    frame = training_frame(entities([("a", 1, 5)]), [VIEW], FeatureSource(tmp_path))
    assert frame["visits"].tolist() == [20]


def test_times_without_a_zone_are_utc_and_missing_keys_have_no_features(tmp_path: Path) -> None:
    """A row without a key gets what an entity gets that was never written."""
    load(tmp_path, 1, [("a", 1, 0, 10)])
    asked = entities([("a", 1, 5), ("a", 1, 5)])
    asked["event_time"] = asked["event_time"].dt.tz_localize(None)
    asked["user"] = ["a", None]
    frame = training_frame(asked, [VIEW], FeatureSource(tmp_path))
    assert frame["visits"].tolist() == [10, -1]


def test_rows_that_the_index_names_alike_stay_apart(tmp_path: Path) -> None:
    """Every row of a frame that was put together of others is there once, with its own features."""
    load(tmp_path, 1, [("a", 1, 0, 10), ("b", 1, 0, 20)])
    asked = pd.concat([entities([("a", 1, 5)]), entities([("b", 1, 5)])])
    frame = training_frame(asked, [VIEW], FeatureSource(tmp_path))
    assert (frame["visits"].tolist(), list(frame.index)) == ([10, 20], [100, 100])


def test_a_frame_without_rows_gets_the_columns(tmp_path: Path) -> None:
    """Labels that a query found none of are no error: the features are there, without rows."""
    load(tmp_path, 1, [("a", 1, 0, 7)])
    none = pd.DataFrame({"user": [], "shop": [], "event_time": []})
    frame = training_frame(none, [VIEW], FeatureSource(state=tmp_path), statuses=True)
    assert len(frame) == 0
    assert {"spend", "visits__status", "place"} <= set(frame.columns)


def test_the_same_name_in_two_views_is_told_apart(tmp_path: Path) -> None:
    """Features that two views have are named with their view; others keep their name."""
    other = FeatureView("shops", (JoinKey("shop", "int64"),), (Feature("city", "string"),))
    load(tmp_path, 1, [("a", 1, 0, 10)])
    rows = EntityRows([b"12345678"], np.array([BASE_US]), {"city": np.array(["Lyon"], object)})
    directory = history_directory(tmp_path / "features", "shops")
    write_part(directory, 1, 0, table_columns(other, {"shop": np.array([1])}, rows))
    frame = training_frame(entities([("a", 1, 5)]), [VIEW, other], FeatureSource(tmp_path))
    assert frame[["users__city", "shops__city"]].iloc[0].tolist() == ["city 10", "Lyon"]
    assert "spend" in frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="event_time"), "no column 'event_time'"),
        (lambda frame: frame.drop(columns="shop"), "no column 'shop', which is a join key"),
        (lambda frame: frame.assign(shop="x"), "column 'shop', row 0: this is no int64"),
        (lambda frame: frame.assign(event_time=pd.NaT), "row 0: this is no time"),
        (lambda frame: frame.assign(city="x"), "has a column 'city' already"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(tmp_path: Path, change: object, message: str) -> None:
    """The text names the column, and the row where one is to blame."""
    load(tmp_path, 1, [("a", 1, 0, 10)])
    assert callable(change)
    with pytest.raises(InvalidRows, match=message):
        training_frame(change(entities([("a", 1, 5)])), [VIEW], FeatureSource(tmp_path))


def test_without_a_history_there_is_nothing_to_train_with(tmp_path: Path) -> None:
    """A view that was never filled is an error, not a frame of nulls."""
    with pytest.raises(StoreUnavailable, match="has no history of the view users"):
        training_frame(entities([("a", 1, 5)]), [VIEW], FeatureSource(tmp_path))
