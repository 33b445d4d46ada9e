"""What a slot counts of stored features."""

from pathlib import Path

from driftgate.features.lookup.memory_store import MemoryFeatureStore
from driftgate.features.lookup.resolve import Resolver
from driftgate.features.lookup.store import Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.feature_counters import (
    AGE_S,
    BUCKET_CELLS,
    CELLS,
    LAYOUT,
    SNAPSHOT,
    STATUS_CELLS,
    FeatureCounters,
    snapshots_read,
)
from driftgate.gateway.state.integer_blocks import BlockFile, read_blocks
from driftgate.gateway.state.slots import beat_path

from harness.features import entity_rows, fetch_now

VIEW = FeatureView(
    "users",
    (JoinKey("user"),),
    (Feature("age", "float32"), Feature("score", "float32", on_missing="default", default=0.0)),
)


def test_statuses_and_ages_are_counted(tmp_path: Path) -> None:
    """Values count by view and status, those not fresh by feature too; ages beside them."""
    store, layout = MemoryFeatureStore(), RowLayout.of(VIEW)
    rows = entity_rows(VIEW, [("ann",), ("bob",)], {"age": [1.0, None], "score": [2.0, None]}, age_s=30)
    store.put(VIEW, rows)
    (found,) = fetch_now(store, [Lookup(layout, [*rows.keys, b"cat"])])
    counters = FeatureCounters(tmp_path / "counts")
    now_us = int(rows.event_time_us[0]) + 30_000_000
    counters.resolved(Resolver(layout).resolve(found.stored, now_us), 9)
    counters.fetched(30_000, True)
    blocks = {block.names: block.cells for block in read_blocks(tmp_path / "counts", LAYOUT)}
    view = blocks["users", ""]
    assert view[STATUS_CELLS : STATUS_CELLS + 7] == (2, 0, 1, 1, 2, 0, 0)
    assert view[SNAPSHOT] == 9
    assert view[AGE_S] == 60
    assert view[BUCKET_CELLS + 2] == 2
    assert blocks["users", "score"][STATUS_CELLS : STATUS_CELLS + 7] == (0, 0, 0, 0, 2, 0, 0)
    assert sum(blocks["", ""][BUCKET_CELLS:CELLS]) == 1


def test_a_full_sum_of_ages_begins_anew(tmp_path: Path) -> None:
    """However old rows are and however many, counting them never fails."""
    store, layout = MemoryFeatureStore(), RowLayout.of(VIEW)
    rows = entity_rows(VIEW, [("ann",)], {"age": [1.0], "score": [2.0]})
    store.put(VIEW, rows)
    (found,) = fetch_now(store, [Lookup(layout, rows.keys)])
    counters = FeatureCounters(tmp_path / "counts")
    resolved = Resolver(layout).resolve(found.stored, int(rows.event_time_us[0]) + 5_000_000)
    block = BlockFile(tmp_path / "counts", LAYOUT).of("users", "")
    block[AGE_S] = 2**63 - 2
    counters.resolved(resolved, 1)
    (counted,) = [one for one in read_blocks(tmp_path / "counts", LAYOUT) if one.names == ("users", "")]
    assert counted.cells[AGE_S] == 0


def test_who_lives_tells_what_it_reads(tmp_path: Path) -> None:
    """Of every living worker the snapshot counts that it reads in this life; 0 until it reads any."""
    layout = StateLayout(tmp_path)
    for slot in range(3):
        layout.slot(slot).mkdir(parents=True)
        beat = Beat.create(beat_path(layout, slot), "boot", 1, 1)
        beat.state = BeatState.DEAD if slot == 2 else BeatState.ACCEPTING
        FeatureCounters(layout.feature_counters(slot)).reading({"users": 6, "shops": 1})
    FeatureCounters(layout.feature_counters(0)).reading({"users": 7})
    FeatureCounters(layout.feature_counters(1))
    assert snapshots_read(layout, "users") == {0: 7, 1: 0}
