"""What a slot counts of stored features, and the file that it is in."""

from pathlib import Path

import pytest

from driftgate.features.layout import RowLayout
from driftgate.features.memory_store import MemoryFeatureStore
from driftgate.features.resolve import Resolver
from driftgate.features.skew import FeatureSkew
from driftgate.features.store import Lookup
from driftgate.features.view import Feature, FeatureView, JoinKey
from driftgate.gateway.state.feature_counters import (
    AGE_S,
    BUCKET_CELLS,
    CELLS,
    LAYOUT,
    SKEW_CELLS,
    SNAPSHOT,
    STATUS_CELLS,
    FeatureCounters,
)
from driftgate.gateway.state.feature_views import (
    KnownViews,
    UnreadableViews,
    ViewsFile,
    decode_views,
    encode_views,
    write_views,
)
from driftgate.gateway.state.integer_blocks import BlockFile, BlockLayout, UnreadableBlocks, read_blocks

from harness.features import entity_rows, fetch_now

VIEW = FeatureView(
    "users",
    (JoinKey("user"),),
    (Feature("age", "float32"), Feature("score", "float32", on_missing="default", default=0.0)),
)
SMALL = BlockLayout(b"DGTESTS1", 16, 4, 3)


def test_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    """A file that is opened again goes on with the same numbers."""
    for count in (1, 2):
        BlockFile(tmp_path / "counts", SMALL).of("a", "b")[0] += 1
        assert read_blocks(tmp_path / "counts", SMALL)[0].cells[0] == count


def test_names_are_bounded(tmp_path: Path) -> None:
    """Names for which there is no room, or that are too long, share one block."""
    file = BlockFile(tmp_path / "counts", SMALL)
    file.of("a", "b")[0] = 1
    file.of("", "")
    for name in ("c", "d", "e" * 100):
        file.of(name, "x")[0] += 1
    found = {block.names: block.cells[0] for block in read_blocks(tmp_path / "counts", SMALL)}
    assert found[("a", "b")] == 1
    assert len(found) <= SMALL.max_blocks
    assert sum(found.values()) == 4


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    """Whoever writes begins anew; whoever reads says that it is damaged, or of a newer format."""
    path = tmp_path / "counts"
    path.write_bytes(b"nonsense")
    with pytest.raises(UnreadableBlocks):
        read_blocks(path, SMALL)
    BlockFile(path, SMALL).of("a")[1] = 5
    assert read_blocks(path, SMALL)[0].cells[1] == 5
    path.write_bytes(path.read_bytes().replace(b"DGTESTS1", b"DGTESTS2"))
    with pytest.raises(UnreadableBlocks):
        read_blocks(path, SMALL)


def test_statuses_ages_and_skew_are_counted(tmp_path: Path) -> None:
    """Values count by view and status, those not fresh by feature too; ages and comparisons beside them."""
    store, layout = MemoryFeatureStore(), RowLayout.of(VIEW)
    rows = entity_rows(VIEW, [("ann",), ("bob",)], {"age": [1.0, None], "score": [2.0, None]}, age_s=30)
    store.put(VIEW, rows)
    (found,) = fetch_now(store, [Lookup(layout, [*rows.keys, b"cat"])])
    counters = FeatureCounters(tmp_path / "counts")
    now_us = int(rows.event_time_us[0]) + 30_000_000
    counters.resolved(Resolver(layout).resolve(found.stored, now_us), 9)
    counters.compared("users", "age", FeatureSkew(compared=3, mismatched=1))
    counters.fetched(30_000, True)
    blocks = {block.names: block.cells for block in read_blocks(tmp_path / "counts", LAYOUT)}
    view = blocks["users", ""]
    assert view[STATUS_CELLS : STATUS_CELLS + 7] == (2, 0, 1, 1, 2, 0, 0)
    assert view[SNAPSHOT] == 9
    assert view[AGE_S] == 60
    assert view[BUCKET_CELLS + 2] == 2
    assert blocks["users", "score"][STATUS_CELLS : STATUS_CELLS + 7] == (0, 0, 0, 0, 2, 0, 0)
    assert blocks["users", "age"][SKEW_CELLS : SKEW_CELLS + 2] == (3, 1)
    assert sum(blocks["", ""][BUCKET_CELLS:CELLS]) == 1


def test_views_are_followed(tmp_path: Path) -> None:
    """A change is taken up once; a damaged file is told once and changes nothing."""
    file = ViewsFile(tmp_path / "views.json")
    assert not file.look()
    write_views(tmp_path / "views.json", KnownViews({"users": VIEW}, {"other": "line 3: no"}))
    assert file.look()
    assert not file.look()
    assert file.known.views == {"users": VIEW}
    assert file.known.missing("other") == "the feature view 'other' is not declared soundly: line 3: no"
    (tmp_path / "views.json").write_bytes(b"{}")
    with pytest.raises(UnreadableViews):
        file.look()
    assert not file.look()
    assert file.known.views == {"users": VIEW}


def test_newer_views_are_refused() -> None:
    """A file of views of format 2 is refused with both numbers."""
    data = encode_views(KnownViews({"users": VIEW}))
    assert decode_views(data).views == {"users": VIEW}
    with pytest.raises(UnreadableViews, match="have format 2; this Driftgate reads 1"):
        decode_views(data.replace(b'"format":1', b'"format":2,"new":[]', 1))


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
