"""The embedded store under kills, a full disk and many readers, with real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.lmdb_file import FIRST_MAP_BYTES, MAX_READERS
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import ViewFiles, current_snapshot, snapshot_info
from driftgate.features.errors import StoreDamaged
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.codec import EntityRows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.feature_rows import SECOND_US, float_rows, float_view, now_us, packed
from harness.gateway import until

VIEW = float_view(features=40)
WIDE = FeatureView("wide", (JoinKey("card"),), (Feature("vector", "float64", length=2048),))
CARDS = [f"card-{number:04d}" for number in range(2000)]
CHUNK = 100
LOADER = """
import random, sys
from pathlib import Path
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import ViewFiles, snapshot_numbers
from harness.feature_rows import float_rows, float_view
from test_cards import CARDS, CHUNK
root, view = Path(sys.argv[1]), float_view(features=40)
order = random.Random(7).sample(CARDS, len(CARDS))
print("ready", flush=True)
while True:
    number = max(snapshot_numbers(ViewFiles(root, view.name)), default=0) + 1
    with SnapshotWriter(root, view, f"load {number}", buckets_from=500) as writer:
        for at in range(int(writer.progress or b"0"), len(CARDS), CHUNK):
            rows = float_rows(view, order[at : at + CHUNK], number, float(number))
            writer.append(rows, b"%d" % (at + CHUNK))
        writer.finish()
"""
READER = """
import sys, time
from pathlib import Path
from driftgate.features.rows.layout import RowLayout
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.lookup.store import Lookup
from harness.feature_rows import float_view
from test_cards import CARDS
from driftgate.features.views.view import Feature, FeatureView, JoinKey
layout = RowLayout.of(float_view(features=40))
wide = RowLayout.of(FeatureView("wide", (JoinKey("card"),), (Feature("vector", "float64", length=2048),)))
store, found = LmdbFeatureStore(Path(sys.argv[1])), []
keys = [card.encode() for card in CARDS[::40]]
newest, pushed, turns = 0, 0, 0
print("ready", flush=True)
until = None
while until is None or turns < until:
    store.fetch([Lookup(layout, keys), Lookup(wide, keys[:3])], 0.05, found.extend)
    turns += 1
    small, large = found
    found.clear()
    assert not small.timed_out and not large.timed_out
    assert not small.stored.faults and not large.stored.faults
    values = set(small.stored.columns["f0"].tolist())
    assert values == {float(small.snapshot)}, (values, small.snapshot)
    assert small.snapshot >= newest
    vectors = large.stored.columns["vector"]
    assert (vectors == vectors[:, :1]).all()
    assert vectors[0, 0] >= pushed
    newest, pushed = small.snapshot, vectors[0, 0]
    if until is None and Path(sys.argv[2]).exists():
        store.look()
        until = turns + 10
print(newest, int(pushed), turns, flush=True)
"""


@contextlib.contextmanager
def running(program: str, *arguments: str, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a program until the end of the block, once it is ready."""
    (tmp_path / "test_cards.py").write_text(f"CARDS, CHUNK = {CARDS!r}, {CHUNK}\n")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def values_of(root: Path) -> tuple[int, set[float]]:
    """Return the snapshot that is read and all values in it."""
    found: list[Fetched] = []
    with contextlib.closing(LmdbFeatureStore(root)) as store:
        store.fetch([Lookup(RowLayout.of(VIEW), [card.encode() for card in CARDS])], 0.05, found.extend)
    assert not found[0].stored.faults
    return found[0].snapshot, set(found[0].stored.columns["f0"].tolist())


def test_a_loader_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    """After every kill readers have one whole snapshot, and the next loader goes on."""
    root, seen = tmp_path / "features", []
    files = ViewFiles(root, VIEW.name)

    def current() -> int:
        with contextlib.suppress(StoreDamaged):  # killed between the first snapshot and its becoming current
            return current_snapshot(files)
        return 0

    for number in range(8):
        with running(LOADER, str(root), tmp_path=tmp_path) as loader:
            time.sleep(0.013 * number)  # not for luck: the moment of the kill is what is varied
            loader.send_signal(signal.SIGKILL)
            loader.wait()
        snapshot = current()
        if snapshot:
            read, values = values_of(root)
            assert (read, len(values)) == (snapshot, 1), values
            assert snapshot_info(files, snapshot).rows == len(CARDS)
        seen.append(snapshot)
    assert seen == sorted(seen)
    with running(LOADER, str(root), tmp_path=tmp_path):
        until(lambda: current() > max(1, seen[-1]), 20, "a loader that is left alone goes on")


def test_a_full_disk_stops_a_load_and_loses_nothing(tmp_path: Path) -> None:
    """A loader without room says so and keeps its place; with room it goes on; readers notice nothing."""
    root = tmp_path / "features"
    with SnapshotWriter(root, VIEW) as writer:
        writer.append(float_rows(VIEW, CARDS, 1, 1.0))
        writer.finish()
    program = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
print("ready", flush=True)
from driftgate.features.errors import StoreFull
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from harness.feature_rows import float_rows, float_view
from pathlib import Path
from test_cards import CARDS, CHUNK
with SnapshotWriter(Path({str(root)!r}), float_view(features=40), "file") as writer:
    try:
        for at in range(0, len(CARDS), CHUNK):
            rows = float_rows(float_view(features=40), CARDS[at : at + CHUNK], 2, 2.0)
            writer.append(rows, b"%d" % (at + CHUNK))
    except StoreFull as error:
        print(error, writer.count() == int(writer.progress), flush=True)
"""
    with running(program, tmp_path=tmp_path) as loader:
        assert loader.stdout is not None
        assert loader.stdout.read() == "rows cannot be written: the disk is full, or failing True\n"
    assert values_of(root) == (1, {1.0})
    with SnapshotWriter(root, VIEW, "file") as writer:
        assert 0 < int(writer.progress) < len(CARDS)
        writer.append(float_rows(VIEW, CARDS[int(writer.progress) :], 2, 2.0))
        writer.finish()
    assert values_of(root) == (2, {2.0})


def test_readers_have_their_place_on_the_disk(tmp_path: Path) -> None:
    """Their table is allocated when it is made: registering never needs space that a full disk has not."""
    with contextlib.closing(DeltaWriter(tmp_path, "users")):
        lock = (ViewFiles(tmp_path, "users").delta / "lock.mdb").stat()
    assert lock.st_blocks * 512 >= lock.st_size > 64 * MAX_READERS


def test_readers_follow_swaps_and_a_growing_delta(tmp_path: Path) -> None:
    """Through swaps and a delta that outgrows its map, every turn of every reader is of one snapshot."""
    root, end = tmp_path / "features", tmp_path / "end"
    push(root, 1)
    swap(root, 1)
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(running(READER, str(root), str(end), tmp_path=tmp_path)) for _ in range(3)
        ]
        for number in range(2, 12):
            swap(root, number)
            push(root, number)
        end.touch()
        for reader in readers:
            assert reader.stdout is not None
            until(lambda one=reader: one.poll() is not None, 20, "the reader ends")  # type: ignore[misc] # bound now
            newest, pushed, turns = map(int, reader.stdout.read().split())
            assert (newest, pushed) == (11, 11)
            assert turns > 20
    size = (ViewFiles(root, WIDE.name).delta / "data.mdb").stat().st_size
    assert size > FIRST_MAP_BYTES


def swap(root: Path, number: int) -> None:
    with SnapshotWriter(root, VIEW) as writer:
        writer.append(float_rows(VIEW, CARDS, number, float(number)))
        assert writer.finish().number == number


def push(root: Path, number: int) -> None:
    """Push 2 MiB of vectors: those that are read, and new ones."""
    cards = [*CARDS[::40][:3], *(f"{number}-{index}" for index in range(130))]
    vectors = np.full((len(cards), 2048), float(number))
    times = np.full(len(cards), now_us() - 60 * SECOND_US + number)
    rows = EntityRows([card.encode() for card in cards], times, {"vector": vectors})
    with contextlib.closing(DeltaWriter(root, WIDE.name)) as delta:
        delta.push(packed(WIDE, rows), now_us())
