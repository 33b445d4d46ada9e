"""Snapshots of the embedded store: building, swapping, going back, compacting."""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from driftgate.features.embedded.compaction import compact, is_due
from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import (
    KEPT,
    SnapshotInfo,
    ViewFiles,
    current_snapshot,
    rollback,
    snapshot_numbers,
    snapshots,
)
from driftgate.features.errors import SnapshotUnknown, StoreBusy, StoreDamaged, StoreError
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.features.views.view import FeatureView

from harness.feature_rows import SECOND_US, float_rows, float_view, now_us, packed

VIEW = float_view()
THEN_US = now_us() - SECOND_US


def load(root: Path, value: float, cards: list[str] | None = None, view: FeatureView = VIEW) -> int:
    """Load a snapshot in which every feature is `value`."""
    with SnapshotWriter(root, view) as writer:
        writer.append(float_rows(view, cards or ["a", "b"], THEN_US, value))
        return writer.finish("test").number


def push(root: Path, card: str, event_us: int, value: float) -> PushOutcome:
    """Push one row."""
    with contextlib.closing(DeltaWriter(root, VIEW.name)) as delta:
        return delta.push(packed(VIEW, float_rows(VIEW, [card], event_us, value)), now_us())[0]


def read(store: LmdbFeatureStore, *cards: str) -> tuple[int, list[float]]:
    """Return the snapshot that was read, and `f0` of these cards (0: not there)."""
    found: list[Fetched] = []
    store.look()
    store.fetch([Lookup(RowLayout.of(VIEW), [card.encode() for card in cards])], 0.05, found.extend)
    return found[0].snapshot, found[0].stored.columns["f0"].tolist()


def test_a_new_snapshot_replaces_the_old_one_whole(tmp_path: Path) -> None:
    """Readers follow CURRENT; what only the old snapshot had is gone with it; the newest few are kept."""
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a") == (0, [0.0])
        for number in range(1, KEPT + 4):
            assert load(tmp_path, float(number), ["a", str(number)]) == number
            assert read(store, "a", str(number), str(number - 1)) == (number, [number, number, 0.0])
    files = ViewFiles(tmp_path, VIEW.name)
    assert snapshot_numbers(files) == list(range(4, 4 + KEPT))
    assert [info.rows for info in snapshots(files)] == [2] * KEPT


def test_rolling_back_reads_the_previous_snapshot_until_the_next_load(tmp_path: Path) -> None:
    """A rollback goes one back, or to a number that is there; a load after it has a new number."""
    files = ViewFiles(tmp_path, VIEW.name)
    with pytest.raises(SnapshotUnknown, match="no earlier"):
        rollback(files)
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        for value in (1.0, 2.0, 3.0):
            load(tmp_path, value)
        assert rollback(files).number == 2
        assert read(store, "a") == (2, [2.0])
        assert rollback(files).number == 1
        with pytest.raises(SnapshotUnknown, match="no earlier"):
            rollback(files)
        with pytest.raises(SnapshotUnknown, match="no snapshot 9"):
            rollback(files, 9)
        assert read(store, "a") == (1, [1.0])
        assert rollback(files, 3).number == 3
        assert load(tmp_path, 4.0) == 4
        assert read(store, "a") == (4, [4.0])


def test_a_rollback_skips_what_was_gone_back_from(tmp_path: Path) -> None:
    """The one before is the one that was read before, not the one that was found to be wrong then."""
    files = ViewFiles(tmp_path, VIEW.name)
    load(tmp_path, 1.0)
    load(tmp_path, 2.0)
    rollback(files)
    assert load(tmp_path, 3.0) == 3
    assert rollback(files).number == 1


def test_pushes_count_where_they_are_newer(tmp_path: Path) -> None:
    """A push newer than the snapshot is read at once, an older or equal one is not; new entities appear."""
    load(tmp_path, 1.0)
    assert push(tmp_path, "a", THEN_US + 1, 2.0) is PushOutcome.WRITTEN
    assert push(tmp_path, "b", THEN_US, 3.0) is PushOutcome.WRITTEN
    assert push(tmp_path, "c", THEN_US - 1, 4.0) is PushOutcome.WRITTEN
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a", "b", "c") == (1, [2.0, 1.0, 4.0])


def test_a_damaged_push_hides_nothing(tmp_path: Path) -> None:
    """Where the pushed row is damaged, the snapshot's is read."""
    load(tmp_path, 1.0)
    (key, row), *_ = packed(VIEW, float_rows(VIEW, ["a"], THEN_US + 5, 2.0))
    with contextlib.closing(DeltaWriter(tmp_path, VIEW.name)) as delta:
        delta.push([(key, row[:-1] + b"\x77"), (b"new", row[:-1] + b"\x77")], now_us())
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a", "b", "new") == (1, [1.0, 1.0, 0.0])


def test_a_load_replaces_what_was_loaded_not_what_was_pushed(tmp_path: Path) -> None:
    """Pushed rows outlive loads that lack them or have older ones, also when compaction took them over."""
    load(tmp_path, 1.0, ["a", "gone"])
    for number, card in enumerate("bcd"):
        push(tmp_path, card, THEN_US + number, 2.0)
    for _ in range(KEPT):
        compact(tmp_path, VIEW)
    with contextlib.closing(DeltaWriter(tmp_path, VIEW.name)) as delta:
        assert (delta.trim(), delta.count(), delta.pending) == (3, 0, 0)
    load(tmp_path, 3.0, ["a", "b", "c"])
    load(tmp_path, 4.0, ["a", "b"])
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, *"abcd", "gone")[1] == [4.0, 4.0, 2.0, 2.0, 0.0]
    assert [info.pushed for info in snapshots(ViewFiles(tmp_path, VIEW.name))][-1] == 3


DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("held", "pending", "due"),
    [
        ([], 99, False),
        ([], 100, True),
        ([("compaction", 1000, 0.0)], 100, True),
        ([("compaction", 1001, 0.0)], 100, False),
        ([("rows.csv", 10, 6 * DAY_S), ("compaction", 10, 0.0)], 100, False),
        ([("rows.csv", 10, 8 * DAY_S), ("compaction", 10, 0.0)], 100, True),
    ],
)
def test_when_compaction_is_due(held: list[tuple[str, int, float]], pending: int, due: bool) -> None:
    """There is enough to take over, also beside the snapshot, and no load of the last days leaves."""
    infos = [
        SnapshotInfo(
            1, 1, "v", "", "", rows, datetime.fromtimestamp(30 * DAY_S - age_s, UTC).isoformat(), source
        )
        for source, rows, age_s in held
    ]
    assert is_due(infos, pending, 100, 30 * DAY_S) == due
    assert not is_due(infos, pending, 0, 30 * DAY_S)


def test_compaction_takes_pushes_over_and_loses_none(tmp_path: Path) -> None:
    """Pushes leave the delta when both snapshots that may be read hold them, so a rollback keeps them."""
    load(tmp_path, 1.0)
    push(tmp_path, "a", THEN_US + 1, 2.0)
    assert compact(tmp_path, VIEW) is not None
    with contextlib.closing(DeltaWriter(tmp_path, VIEW.name)) as delta:
        assert delta.trim() == 0
    rollback(ViewFiles(tmp_path, VIEW.name))
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a", "b") == (1, [2.0, 1.0])
    rollback(ViewFiles(tmp_path, VIEW.name), 2)
    push(tmp_path, "b", THEN_US + 7, 5.0)
    for wanted in (0, 1):
        assert compact(tmp_path, VIEW) is not None
        with contextlib.closing(DeltaWriter(tmp_path, VIEW.name)) as delta:
            assert delta.trim() == wanted
    for number in (4, 3, 2):
        rollback(ViewFiles(tmp_path, VIEW.name), number)
        with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
            assert read(store, "a", "b") == (number, [2.0, 5.0])


def test_trimming_leaves_what_was_pushed_after_the_snapshot_was_built(tmp_path: Path) -> None:
    """A row that changed meanwhile is newer than the snapshot's, and stays."""
    for _ in range(2):
        push(tmp_path, "a", THEN_US + 1, 2.0)
        compact(tmp_path, VIEW)
    push(tmp_path, "a", THEN_US + 2, 3.0)
    with contextlib.closing(DeltaWriter(tmp_path, VIEW.name)) as delta:
        assert delta.trim() == 0
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a") == (2, [3.0])


def test_an_unfinished_load_goes_on_where_it_was(tmp_path: Path) -> None:
    """A load of the same purpose is taken up with its progress; one of another purpose begins anew."""
    load(tmp_path, 1.0)
    with SnapshotWriter(tmp_path, VIEW, "file") as writer:
        writer.append(float_rows(VIEW, ["a"], THEN_US, 2.0), progress=b"row 1")
    assert current_snapshot(ViewFiles(tmp_path, VIEW.name)) == 1
    with SnapshotWriter(tmp_path, VIEW, "file") as writer:
        assert writer.progress == b"row 1"
        assert writer.count() == 1
        writer.append(float_rows(VIEW, ["b"], THEN_US, 2.0), progress=b"row 2")
    with SnapshotWriter(tmp_path, VIEW, "other file") as writer:
        assert writer.progress == b""
        assert writer.count() == 0
        writer.discard()
    assert snapshot_numbers(ViewFiles(tmp_path, VIEW.name)) == [1]


@pytest.mark.parametrize("is_pushed", [True, False])
def test_what_cannot_be_looked_up_never_raises_to_the_turn(tmp_path: Path, is_pushed: bool) -> None:
    """A key that no store can hold is answered as not had in time, from snapshot and delta."""
    if is_pushed:
        push(tmp_path, "a", THEN_US, 1.0)
    else:
        load(tmp_path, 1.0)
    found: list[Fetched] = []
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        store.fetch([Lookup(RowLayout.of(VIEW), [b"a", b""])], 0.05, found.extend)
    assert found[0].timed_out
    assert len(found[0].stored.faults) == 2


def test_one_process_loads_and_one_pushes(tmp_path: Path) -> None:
    """A second loader or writer of a view is refused; another view is free."""
    with SnapshotWriter(tmp_path, VIEW), contextlib.closing(DeltaWriter(tmp_path, VIEW.name)):
        with pytest.raises(StoreBusy, match="loading the view 'cards'"), SnapshotWriter(tmp_path, VIEW):
            pass
        with pytest.raises(StoreBusy, match="loading"):
            rollback(ViewFiles(tmp_path, VIEW.name))
        with pytest.raises(StoreBusy, match="writing pushes"):
            DeltaWriter(tmp_path, VIEW.name)
        load(tmp_path, 1.0, view=float_view("other"))


def test_a_changed_view_is_unavailable_until_it_is_loaded(tmp_path: Path) -> None:
    """Rows of other features than the declaration's are never read as its own; the store says why."""
    wider = float_view(features=5)
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert "holds no rows yet" in str(store.unavailable(VIEW))
        load(tmp_path, 1.0)
        assert store.unavailable(VIEW) is None
        assert "other features" in str(store.unavailable(wider))
    with pytest.raises(StoreError, match="load all rows"), SnapshotWriter(tmp_path, wider, "", True):
        pass


@pytest.mark.parametrize("damage", ["empty", "text", "newer", "gone", "rows", "cut"])
def test_a_damaged_store_is_told_and_what_is_open_is_read_on(tmp_path: Path, damage: str) -> None:
    """CURRENT or a snapshot that cannot be read is told; who reads goes on, others read the one before."""
    files = ViewFiles(tmp_path, VIEW.name)
    load(tmp_path, 1.0)
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a") == (1, [1.0])
        load(tmp_path, 2.0)
        if damage == "rows":
            (files.snapshot(2) / "data.mdb").unlink()
            (files.snapshot(2) / "data.mdb").write_bytes(b"x" * 8192)
        elif damage == "cut":
            os.chmod(files.snapshot(2) / "data.mdb", 0o600)
            os.truncate(files.snapshot(2) / "data.mdb", 8192)
        elif damage == "gone":
            (files.snapshot(2) / "data.mdb").unlink()
        else:
            bad = {"empty": b"", "text": b"snap-2", "newer": b'{"format":9,"snapshot":2}'}[damage]
            files.current.write_bytes(bad)
            with pytest.raises(StoreDamaged):
                current_snapshot(files)
        assert read(store, "a") == (1, [1.0])
        assert store.trouble()
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        back = damage in ("rows", "gone", "cut")
        assert read(store, "a") == ((1, [1.0]) if back else (0, [0.0]))
        assert (store.unavailable(VIEW) is None) == back
        assert store.trouble()


def test_without_current_snapshots_are_not_taken_for_none(tmp_path: Path) -> None:
    """Nothing is read, or loaded onto nothing, as if the view were new; a rollback goes to the newest."""
    files = ViewFiles(tmp_path, VIEW.name)
    for value in (1.0, 2.0):
        load(tmp_path, value)
    push(tmp_path, "c", THEN_US, 3.0)
    files.current.unlink()
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert "CURRENT" in str(store.unavailable(VIEW))
        with pytest.raises(StoreDamaged), SnapshotWriter(tmp_path, VIEW, "", onto_current=True):
            pass
        assert rollback(files).number == 2
        assert store.unavailable(VIEW) is None
        assert read(store, "a", "c") == (2, [2.0, 3.0])


def test_rows_may_come_in_any_order_and_more_than_once(tmp_path: Path) -> None:
    """Of several rows of an entity the newest stays, in one chunk, across chunks, and after sorted ones."""
    with SnapshotWriter(tmp_path, VIEW) as writer:
        for cards, ages, value in (
            (["a", "b", "a"], [3, 3, 1], 1.0),
            (["c", "d"], [3, 3], 2.0),
            (["b", "a", "a"], [2, 2, 4], 3.0),
            (["d", "0"], [5, 5], 4.0),
        ):
            writer.append(float_rows(VIEW, cards, THEN_US - np.array(ages), value))
        assert writer.finish().rows == 5
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, "a", "b", "c", "d", "0") == (1, [1.0, 3.0, 2.0, 2.0, 4.0])


@pytest.mark.parametrize("buckets_from", [0, 400, 10**9])
def test_a_load_out_of_order_and_often_interrupted_is_whole(tmp_path: Path, buckets_from: int) -> None:
    """Whether rows are put aside or written at once, each entity has its newest row, the first of equals."""
    random = np.random.default_rng(3)
    cards = [f"{number}" for number in random.integers(0, 700, 3000)]
    times = THEN_US - random.integers(0, 50, 3000)
    wanted: dict[str, tuple[int, int]] = {}
    for number, (card, time_us) in enumerate(zip(cards, times.tolist(), strict=True)):
        if card not in wanted or wanted[card][0] < time_us:
            wanted[card] = (time_us, number)
    rows = float_rows(VIEW, cards, times, 0.0)
    rows.columns["f0"][:] = np.arange(3000)
    for at in range(0, 3000, 250):
        with SnapshotWriter(tmp_path, VIEW, "file", buckets_from=buckets_from) as writer:
            assert int(writer.progress or b"0") == at
            chunk = {name: column[at : at + 250] for name, column in rows.columns.items()}
            keys, event_us = rows.keys[at : at + 250], rows.event_time_us[at : at + 250]
            writer.append(EntityRows(keys, event_us, chunk), b"%d" % (at + 250))
            if at + 250 == 3000:
                assert writer.finish().rows == len(wanted)
    with contextlib.closing(LmdbFeatureStore(tmp_path)) as store:
        assert read(store, *wanted) == (1, [number for _, number in wanted.values()])
    assert {file.name for file in (tmp_path / "cards" / "snap-1").iterdir()} == {"data.mdb", "snapshot.json"}
