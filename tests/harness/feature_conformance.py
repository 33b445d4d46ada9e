"""What every feature store must answer: cases that run over all of them, against plain look-ups.

A case gets a `Filling`: it writes rows of a view, in that order, and returns a way to ask what was written.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftgate.features.lookup.resolve import Resolved, Resolver
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import Feature, FeatureView, JoinKey, check_view

Ask = Callable[[Sequence[Lookup]], Sequence[Fetched]]
Filling = Callable[[FeatureView, Sequence[EntityRows]], Ask]
Values = list[Any]
"""One value (None: null) for each feature of a view."""

NOW_US = 1_800_000_000_000_000
TTL_S = 3600.0
HOUR_US = 3_600_000_000

EVERYTHING = check_view(
    FeatureView(
        "everything",
        (JoinKey("user"), JoinKey("shop", "int64")),
        (
            Feature("amount", "float32", default=-1.5, on_missing="default", on_stale="null"),
            Feature("mean", "float64", on_stale="last"),
            Feature("count", "int64", default=7, on_missing="default", on_stale="default"),
            Feature("rank", "int32", on_missing="error", on_stale="error"),
            Feature("is_new", "bool", default=True, on_missing="default"),
            Feature("city", "string", default="nowhere", on_missing="default", on_stale="default"),
            Feature("segment", "string"),
            Feature("taste", "float32", length=3, default=(0.0, 0.5, 1.0), on_missing="default"),
            Feature("tags", "string", length=2, on_stale="null"),
        ),
        ttl_s=TTL_S,
    )
)


class Entry(NamedTuple):
    """One write: who, when, and the values."""

    key: tuple[str, int]
    event_us: int
    values: Values


def rows_of(view: FeatureView, entries: Sequence[Entry]) -> EntityRows:
    """Return writes as the rows that stores take."""
    codec = KeyCodec(view)
    columns, nulls = {}, {}
    for index, feature in enumerate(view.features):
        values = [entry.values[index] for entry in entries]
        nulls[feature.name] = np.array([value is None for value in values], bool)
        blank: Any = "" if feature.dtype == "string" else 0
        blank = blank if feature.length == 1 else [blank] * feature.length
        dtype: Any = object if feature.dtype == "string" else feature.dtype
        filled = [blank if value is None else value for value in values]
        columns[feature.name] = np.array(filled, dtype)
    times = np.array([entry.event_us for entry in entries], np.int64)
    return EntityRows([codec.encode(entry.key) for entry in entries], times, columns, nulls)


def asked(ask: Ask, view: FeatureView, keys: Sequence[tuple[str, int]]) -> Resolved:
    """Return what the model would get of these entities at NOW_US."""
    layout, codec = RowLayout.of(view), KeyCodec(view)
    (answer,) = ask([Lookup(layout, [codec.encode(key) for key in keys])])
    assert not answer.timed_out
    return Resolver(layout).resolve(answer.stored, NOW_US)


def plain_answer(feature: Feature, entry: Entry | None, value: Any) -> tuple[FeatureStatus, Any]:
    """Return status and value (None: nothing, "refused") of one feature, worked out one by one."""
    if entry is None or entry.event_us > NOW_US + 60_000_000:
        cause = FeatureStatus.MISSING
    elif value is None:
        cause = FeatureStatus.NULL
    elif any(isinstance(one, float) and math.isnan(one) for one in np.atleast_1d(value).tolist()):
        cause = FeatureStatus.MISSING
    elif entry.event_us < NOW_US - TTL_S * 1e6:
        cause = FeatureStatus.STALE
    else:
        return FeatureStatus.FRESH, value
    policy = feature.on_stale if cause is FeatureStatus.STALE else feature.on_missing
    if policy == "last":
        return cause, value
    if policy == "default":
        return FeatureStatus.DEFAULTED, feature.default
    return cause, None if policy == "null" else "refused"


def check_against_plain(view: FeatureView, entries: Sequence[Entry], got: Resolved, keys: Any) -> None:
    """Compare answers with what plain look-ups in the writes give, status and value for each cell."""
    newest: dict[tuple[str, int], Entry] = {}
    for written in entries:
        if written.key not in newest or newest[written.key].event_us < written.event_us:
            newest[written.key] = written
    columns = got.columns
    for row, key in enumerate(keys):
        held = newest.get(tuple(key))
        for place, feature in enumerate(view.features):
            status, value = plain_answer(feature, held, held.values[place] if held else None)
            assert got.status[row, place] == status, (key, feature.name)
            is_refused = got.refused is not None and bool(got.refused[row, place])
            is_absent = got.absent is not None and bool(got.absent[row, place])
            assert is_refused == (isinstance(value, str) and value == "refused"), (key, feature.name)
            assert is_absent == (value is None or is_refused), (key, feature.name)
            if not is_absent:
                kind = object if feature.dtype == "string" else feature.dtype
                found, wanted = np.array(columns[feature.name][row], kind), np.array(value, kind)
                assert np.array_equal(found, wanted), (key, feature.name)


def statuses_follow_age_and_policy(fill: Filling) -> None:
    """Fresh, stale, null, NaN, from the future, never written: each has its status and its policy's value."""
    sound: Values = [1.0, 2.0, 3, 4, False, "Lyon", "a", [1.0, 2.0, 3.0], ["x", ""]]
    entries = [
        Entry(("fresh", 1), NOW_US - 1, sound),
        Entry(("edge", 1), NOW_US - HOUR_US, sound),
        Entry(("stale", 1), NOW_US - HOUR_US - 1, sound),
        Entry(("null", 1), NOW_US - 1, [None] * len(sound)),
        Entry(("stale null", 1), NOW_US - 2 * HOUR_US, [None] * len(sound)),
        Entry(("nan", 1), NOW_US - 1, [math.nan, math.nan, *sound[2:7], [1.0, math.nan, 2.0], sound[8]]),
        Entry(("soon", 1), NOW_US + 60_000_000, sound),
        Entry(("future", 1), NOW_US + 60_000_001, sound),
    ]
    ask = fill(EVERYTHING, [rows_of(EVERYTHING, entries)])
    keys = [*(entry.key for entry in entries), ("never", 1), ("fresh", 2), ("", 1)][:-1]
    check_against_plain(EVERYTHING, entries, asked(ask, EVERYTHING, keys), keys)


def newer_wins_whatever_the_order(fill: Filling) -> None:
    """Of several rows of an entity the newest event counts; the same row again changes nothing."""
    then = NOW_US - 1000
    sound: Values = [1.0, 2.0, 3, 4, False, "Lyon", "a", [1.0, 2.0, 3.0], ["x", ""]]
    old, new = [5.0, *sound[1:]], [6.0, *sound[1:]]
    writes = [
        [Entry(("a", 1), then, old), Entry(("b", 1), then + 1, new)],
        [Entry(("a", 1), then + 1, new), Entry(("b", 1), then, old)],
        [Entry(("a", 1), then, old), Entry(("b", 1), then + 1, new)],
    ]
    ask = fill(EVERYTHING, [rows_of(EVERYTHING, entries) for entries in writes])
    assert asked(ask, EVERYTHING, [("a", 1), ("b", 1)]).columns["amount"].tolist() == [6.0, 6.0]


def rows_come_in_the_order_of_their_keys(fill: Filling) -> None:
    """Repeated keys, many views in one call, and no keys at all are answered in their order."""
    ask = fill(_SMALL, [rows_of(_SMALL, [Entry((f"u{n}", n), NOW_US - n, [float(n)]) for n in range(50)])])
    order = [3, 3, 49, 0, 3]
    layout, codec = RowLayout.of(_SMALL), KeyCodec(_SMALL)
    keys = [codec.encode((f"u{n}", n)) for n in order]
    answers = ask([Lookup(layout, keys), Lookup(layout, []), Lookup(layout, keys[2:3])])
    assert [answer.stored.columns["value"].tolist() for answer in answers] == [order, [], [49]]
    assert answers[0].stored.event_time_us.tolist() == [NOW_US - n for n in order]


def odd_keys_are_found_and_kept_apart(fill: Filling) -> None:
    """Keys that begin alike, of every length and script, or negative, each find their own row."""
    names = ["a", "ab", "a b", "é", "e\u0301", "😀", "\u00a0", "x" * 480, "0", "\ufffd", "*", "cards:1", "%s"]
    keys = [(name, number) for name in names for number in (0, -1, 2**63 - 1, -(2**63))]
    ask = fill(_SMALL, [rows_of(_SMALL, [Entry(key, NOW_US - 1, [float(n)]) for n, key in enumerate(keys)])])
    assert asked(ask, _SMALL, keys).columns["value"].tolist() == list(range(len(keys)))


def a_view_without_rows_is_missing(fill: Filling) -> None:
    """A store that was never written to answers MISSING."""
    got = asked(fill(EVERYTHING, []), EVERYTHING, [("a", 1)])
    check_against_plain(EVERYTHING, [], got, [("a", 1)])


def random_writes_equal_plain_look_ups(fill: Filling) -> None:
    """Any writes in any order answer as plain look-ups do, statuses included."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.lists(_ENTRIES, max_size=6), max_size=3))
    def check(chunks: list[list[Entry]]) -> None:
        chunks = [chunk for chunk in chunks if chunk]
        ask = fill(EVERYTHING, [rows_of(EVERYTHING, chunk) for chunk in chunks])
        entries = [entry for chunk in chunks for entry in chunk]
        keys = [(user, shop) for user in ("a", "b", "c") for shop in (-1, 0)]
        check_against_plain(EVERYTHING, entries, asked(ask, EVERYTHING, keys), keys)

    check()


def a_hundred_thousand_keys_equal_pandas(fill: Filling) -> None:
    """10⁵ random keys give what pandas finds in the same rows, values and statuses."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "user": [f"u{n}" for n in random.integers(0, 20_000, 30_000)],
            "shop": np.int64(5),
            "event_us": NOW_US - random.integers(0, 2 * HOUR_US, 30_000),
            "value": random.random(30_000).astype(np.float32),
            "count": random.integers(-(2**40), 2**40, 30_000),
            "null": random.random(30_000) < 0.1,
        }
    )
    codec, layout = KeyCodec(_PAIR), RowLayout.of(_PAIR)
    columns = {name: frame[name].to_numpy() for name in ("value", "count")}
    rows = EntityRows(
        [codec.encode(key) for key in zip(frame["user"], frame["shop"].tolist(), strict=True)],
        frame["event_us"].to_numpy(),
        columns,
        {"count": frame["null"].to_numpy()},
    )
    ask = fill(_PAIR, [rows])
    users = pd.Index([f"u{n}" for n in random.integers(0, 40_000, 100_000)])
    (answer,) = ask([Lookup(layout, [codec.encode((user, 5)) for user in users])])
    got = Resolver(layout).resolve(answer.stored, NOW_US)
    newest = frame.sort_values("event_us", kind="stable").drop_duplicates("user", keep="last")
    found = newest.set_index("user").reindex(users)
    there = found["event_us"].notna().to_numpy()
    stale = there & (found["event_us"] < NOW_US - HOUR_US).to_numpy()
    null = there & (found["null"] == True).to_numpy()  # noqa: E712 - an object column with NaN
    wanted = np.where(stale, FeatureStatus.STALE, FeatureStatus.FRESH)
    assert np.array_equal(got.status[:, 0], np.where(there, wanted, FeatureStatus.MISSING))
    counted = np.where(null, FeatureStatus.DEFAULTED, wanted)
    assert np.array_equal(got.status[:, 1], np.where(there, counted, FeatureStatus.DEFAULTED))
    assert np.array_equal(got.columns["value"], found["value"].to_numpy(np.float32), equal_nan=True)
    counts = np.where(there & ~null, found["count"].fillna(0).to_numpy(np.int64), -9)
    assert np.array_equal(got.columns["count"], counts)


CASES = (
    statuses_follow_age_and_policy,
    newer_wins_whatever_the_order,
    rows_come_in_the_order_of_their_keys,
    odd_keys_are_found_and_kept_apart,
    a_view_without_rows_is_missing,
    random_writes_equal_plain_look_ups,
    a_hundred_thousand_keys_equal_pandas,
)

_JOIN_KEYS = (JoinKey("user"), JoinKey("shop", "int64"))
_SMALL = check_view(FeatureView("small", _JOIN_KEYS, (Feature("value", "float64"),)))
_PAIR = check_view(
    FeatureView(
        "pair",
        _JOIN_KEYS,
        (Feature("value", "float32"), Feature("count", "int64", default=-9, on_missing="default")),
        ttl_s=TTL_S,
    )
)
_FLOATS = st.floats(width=32)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.tuples(
    st.none() | _FLOATS,
    st.none() | st.floats(),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.booleans(),
    st.none() | _TEXTS,
    st.none() | _TEXTS,
    st.none() | st.lists(_FLOATS, min_size=3, max_size=3),
    st.none() | st.lists(_TEXTS, min_size=2, max_size=2),
).map(list)
_TIMES = st.sampled_from([NOW_US - 2 * HOUR_US, NOW_US - HOUR_US, NOW_US - 5, NOW_US, NOW_US + 2 * HOUR_US])
_KEYS = st.tuples(st.sampled_from("abc"), st.sampled_from([-1, 0]))
_ENTRIES = st.builds(Entry, _KEYS, _TIMES, _VALUES)
