"""What was pushed is part of the history: training sees it from when serving did, and as serving did."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.history_parts import history_directory
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.push_history import numbered, pushed_rows, write_file
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import ViewFiles
from driftgate.features.errors import StoreDamaged
from driftgate.features.filling.history import decoded_keys, table_columns
from driftgate.features.filling.tables import write_parquet
from driftgate.features.lookup.resolve import resolve
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.training.frame import FeatureSource, training_frame
from driftgate.features.views.status import FeatureStatus

from harness.feature_rows import SECOND_US, float_rows, float_view, packed

VIEW = float_view(features=1, ttl_s=100.0)
BASE_US = 1_700_000_000 * SECOND_US
CARDS = ("a", "b")


class Step(NamedTuple):
    """`wait_s` after the one before a card's value of `age_s` before (below 0: ahead) is pushed."""

    wait_s: int
    card: str
    age_s: int


STEPS = st.lists(
    st.builds(Step, st.integers(0, 80), st.sampled_from(CARDS), st.integers(-70, 200)),
    min_size=1,
    max_size=8,
)
Seen = tuple[str, float | None]


def load(state: Path, ages_s: dict[str, int]) -> None:
    """Load a value of -1 for some cards, by the age that it has at the base time."""
    times = np.array([BASE_US - age * SECOND_US for age in ages_s.values()])
    rows = float_rows(VIEW, list(ages_s), times, -1.0)
    directory = history_directory(state / "features", VIEW.name)
    directory.mkdir(parents=True)
    columns = table_columns(VIEW, decoded_keys(VIEW, rows.keys), rows)
    write_parquet(directory / f"{1:012}-{0:08}.parquet", columns)
    with SnapshotWriter(state / "features", VIEW) as writer:
        writer.append(rows)
        writer.finish()


@contextmanager
def writer(store: Path) -> Iterator[DeltaWriter]:
    """Write the delta inside; a process cannot read it meanwhile."""
    delta = DeltaWriter(store, VIEW.name)
    try:
        yield delta
    finally:
        delta.close()


def push(delta: DeltaWriter, card: str, event_us: int, value: float, now_us: int) -> None:
    delta.push(packed(VIEW, float_rows(VIEW, [card], event_us, value)), now_us)


def served(state: Path, now_us: int) -> list[Seen]:
    """Return status and value of each card, as serving has them at a time."""
    found: list[Fetched] = []
    store = LmdbFeatureStore(state / "features")
    store.fetch([Lookup(RowLayout.of(VIEW), [card.encode() for card in CARDS])], 1.0, found.extend)
    store.close()
    resolved = resolve(VIEW, found[0].stored, now_us)
    absent = np.zeros((2, 1), bool) if resolved.absent is None else resolved.absent
    values = np.asarray(resolved.columns["f0"]).tolist()
    return [
        (FeatureStatus(int(status)).name, None if gap else value)
        for status, gap, value in zip(resolved.status[:, 0], absent[:, 0], values, strict=True)
    ]


def trained(state: Path, times_us: list[int]) -> list[list[Seen]]:
    """Return the same of all cards at several times, as a training set has them."""
    asked = pd.DataFrame(
        {
            "card": [card for _ in times_us for card in CARDS],
            "event_time": pd.to_datetime([at for at in times_us for _ in CARDS], unit="us", utc=True),
        }
    )
    frame = training_frame(asked, [VIEW], FeatureSource(state), statuses=True)
    values = [None if np.isnan(value) else float(value) for value in frame["f0"]]
    cells = list(zip(frame["f0__status"], values, strict=True))
    return [cells[at : at + 2] for at in range(0, len(cells), 2)]


def in_pandas(loaded: dict[str, int], steps: list[Step], card: str, now_us: int) -> float | None:
    """Return the value of a card at a time, worked out from a plain table of all events."""
    first = [(0, BASE_US - loaded[card] * SECOND_US, -1.0)] if card in loaded else []
    waits = np.cumsum([step.wait_s for step in steps]).tolist()
    events = pd.DataFrame(
        [
            *first,
            *(
                (BASE_US + at * SECOND_US, BASE_US + (at - step.age_s) * SECOND_US, float(number))
                for number, (at, step) in enumerate(zip(waits, steps, strict=True))
                if step.card == card and step.age_s >= -60
            ),
        ],
        columns=["written", "event", "value"],
    )
    known = events[events.written <= now_us].sort_values("event", kind="stable", ascending=False)
    return None if known.empty else float(known.value.iloc[0])


@settings(max_examples=15, deadline=None)
@given(loaded=st.dictionaries(st.sampled_from(CARDS), st.integers(0, 50)), steps=STEPS, moved=st.booleans())
def test_training_sees_pushes_as_serving_did(
    tmp_path_factory: pytest.TempPathFactory, loaded: dict[str, int], steps: list[Step], moved: bool
) -> None:
    """After every push, value and status in training are those of serving then, and of a plain table."""
    state = tmp_path_factory.mktemp("state")
    if loaded:
        load(state, loaded)
    now_us, times_us, seen = BASE_US, list[int](), list[list[Seen]]()
    for number, step in enumerate(steps):
        now_us += step.wait_s * SECOND_US
        with writer(state / "features") as delta:
            push(delta, step.card, now_us - step.age_s * SECOND_US, float(number), now_us)
            if moved and number % 3 == 1:
                delta.move_history(now_us + 1)
        if step.wait_s or not times_us:  # of two at the same moment training sees the last
            times_us, seen = [*times_us, now_us], [*seen, []]
        seen[-1] = served(state, now_us)
    assert trained(state, times_us) == seen
    for at_us, cells in zip(times_us, seen, strict=True):
        assert [cell[1] for cell in cells] == [in_pandas(loaded, steps, card, at_us) for card in CARDS]


def test_a_push_counts_from_when_it_was_written(tmp_path: Path) -> None:
    """A label from between event and push does not see the pushed value: serving did not have it."""
    with writer(tmp_path / "features") as delta:
        push(delta, "a", BASE_US, 7.0, BASE_US + 30 * SECOND_US)
    before, after = trained(tmp_path, [BASE_US + 29 * SECOND_US, BASE_US + 30 * SECOND_US])
    assert before[0] == ("MISSING", None)
    assert after[0] == ("FRESH", 7.0)


def test_entities_that_were_never_pushed_are_missing(tmp_path: Path) -> None:
    """A view that was filled with others is no error, nor is a key under which nothing can be stored."""
    with writer(tmp_path / "features") as delta:
        push(delta, "c", BASE_US, 7.0, BASE_US)
    assert trained(tmp_path, [BASE_US]) == [[("MISSING", None)] * 2]
    asked = pd.DataFrame({"card": ["c", "x" * 600], "event_time": pd.to_datetime([BASE_US] * 2, unit="us")})
    found = training_frame(asked, [VIEW], FeatureSource(tmp_path))["f0"].tolist()
    assert found[0] == 7.0
    assert np.isnan(found[1])


def test_moving_history_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Rows are numbered on over files and restarts; those in a file and still in the delta count once."""
    files = ViewFiles(tmp_path, VIEW.name)
    for number in range(4):
        with writer(tmp_path) as delta:
            push(delta, "a", BASE_US + number, float(number), BASE_US + number)
            if number == 1:
                assert delta.move_history(BASE_US + SECOND_US)
                assert not delta.move_history(BASE_US + SECOND_US)
    write_file(files, numbered(pushed_rows(files)[2:3], 3))  # as if it was killed before taking it out
    assert [row.written_us - BASE_US for row in pushed_rows(files)] == [0, 1, 2, 3]


def test_history_of_pushes_is_bounded(tmp_path: Path) -> None:
    """Files that are too old leave, and the oldest of those that are too large together."""
    with writer(tmp_path) as delta:
        for number in range(4):
            push(delta, "a", BASE_US + number, float(number), BASE_US + number)
            assert delta.move_history(BASE_US + SECOND_US)
        files = sorted(history_directory(tmp_path, VIEW.name).iterdir())
        assert delta.forget_history(0.0, 2 * files[0].stat().st_size) == 2
        assert sorted(history_directory(tmp_path, VIEW.name).iterdir()) == files[2:]
        assert delta.forget_history(files[3].stat().st_mtime + 1, 2**30) == 2


def test_a_damaged_file_of_pushes_is_named(tmp_path: Path) -> None:
    """A training set is not made of half a history: the text says which file is damaged."""
    with writer(tmp_path) as delta:
        push(delta, "a", BASE_US, 1.0, BASE_US)
        assert delta.move_history(BASE_US + 1)
    (file,) = history_directory(tmp_path, VIEW.name).iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreDamaged, match=f"{file.name} of the history of pushes is damaged"):
        pushed_rows(ViewFiles(tmp_path, VIEW.name))
