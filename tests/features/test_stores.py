"""The stores of this process, all put to the same cases."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from driftgate.features.embedded.compaction import compact
from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import KEPT
from driftgate.features.lookup.memory_store import MemoryFeatureStore
from driftgate.features.lookup.store import FeatureStore, Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.views.view import FeatureView

from harness.feature_conformance import CASES, HOUR_US, NOW_US, Ask, Filling
from harness.feature_rows import packed

LATER_US = NOW_US + 3 * HOUR_US
"""The writer's clock; what is in the future for a reader is refused by the writer long before."""


def into_memory(root: Path, view: FeatureView, chunks: Sequence[EntityRows]) -> FeatureStore:
    """Fill the in-memory twin."""
    store = MemoryFeatureStore()
    for chunk in chunks:
        store.put(view, chunk)
    return store


def into_a_snapshot(root: Path, view: FeatureView, chunks: Sequence[EntityRows]) -> FeatureStore:
    """Load everything into one snapshot."""
    if chunks:
        with SnapshotWriter(root, view) as writer:
            for chunk in chunks:
                writer.append(chunk)
            writer.finish()
    return LmdbFeatureStore(root)


def into_the_delta(root: Path, view: FeatureView, chunks: Sequence[EntityRows]) -> FeatureStore:
    """Push everything."""
    _push(root, view, chunks)
    return LmdbFeatureStore(root)


def into_both(root: Path, view: FeatureView, chunks: Sequence[EntityRows]) -> FeatureStore:
    """Load the first chunk and push the others."""
    into_a_snapshot(root, view, chunks[:1]).close()
    _push(root, view, chunks[1:])
    return LmdbFeatureStore(root)


def into_a_compacted_snapshot(root: Path, view: FeatureView, chunks: Sequence[EntityRows]) -> FeatureStore:
    """Load and push, then compact until no snapshot is kept that lacks a push, and trim."""
    into_both(root, view, chunks).close()
    if chunks:
        for _ in range(KEPT):
            compact(root, view)
        with contextlib.closing(DeltaWriter(root, view.name)) as delta:
            delta.trim()
            assert delta.count() == 0
    return LmdbFeatureStore(root)


def _push(root: Path, view: FeatureView, chunks: Sequence[EntityRows]) -> None:
    with contextlib.closing(DeltaWriter(root, view.name)) as delta:
        for chunk in chunks:
            delta.push(packed(view, chunk), LATER_US)


WAYS = (into_memory, into_a_snapshot, into_the_delta, into_both, into_a_compacted_snapshot)


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def fill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Filling]:
    """Every way to get rows into a store, each time into a new one."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def filled(view: FeatureView, chunks: Sequence[EntityRows]) -> Ask:
            store = request.param(tmp_path / str(next(numbers)), view, chunks)
            stack.callback(store.close)
            return lambda lookups: _answer(store, lookups)

        yield filled


def _answer(store: FeatureStore, lookups: Sequence[Lookup]) -> Sequence[Fetched]:
    answers: list[Fetched] = []
    store.fetch(lookups, 0.05, answers.extend)
    return answers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_store_answers_alike(case: Callable[[Filling], None], fill: Filling) -> None:
    """What a store answers, statuses included, depends on what was written and on nothing else."""
    case(fill)
