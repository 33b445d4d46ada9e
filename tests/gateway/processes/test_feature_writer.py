"""The process that writes pushed features, without a gateway around it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.lmdb_file import SharedRows
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.push_history import pushed_rows
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import ViewFiles, snapshot_info, snapshot_numbers
from driftgate.features.errors import StoreError, StoreFull, StoreUnavailable
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.rows.push_outcome import PushOutcome
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.processes.feature_frames import (
    MAX_FRAME_BYTES,
    MalformedFrame,
    Push,
    encode_frame,
    pushes_in,
)
from driftgate.gateway.processes.feature_pushes import FeaturePushes
from driftgate.gateway.settings import FeatureSettings, ServerSettings, Settings

from harness.feature_rows import SECOND_US, float_rows, float_view, now_us, packed
from harness.features import declare
from harness.gateway import until

VIEW = float_view()
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
from driftgate.gateway.processes.feature_writer import main
main(sys.argv[1:])
"""


@contextlib.contextmanager
def writer(
    layout: StateLayout, limited: bool = False, compact_rows: int = 0
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the process; `limited` lets no file grow past 256 KiB."""
    server = ServerSettings(state=str(layout.root), registry=str(layout.root / "registry"))
    known = Settings(server=server, features=FeatureSettings(compact_rows=compact_rows))
    settings = msgspec.json.encode(known).decode()
    program = ["-c", LIMITED] if limited else ["-m", "driftgate.gateway.processes.feature_writer"]
    layout.feature_writer_socket.unlink(missing_ok=True)
    command = [sys.executable, *program, "--settings", settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            until(layout.feature_writer_socket.exists, 20, "the writer listens")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.communicate(timeout=60)


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    """A state directory whose path is longer than the name of a socket may be."""
    layout = StateLayout(tmp_path / ("long-" * 30))
    layout.root.mkdir()
    return layout


def rows_of(cards: list[str], event_us: int, value: float) -> list[PackedRow]:
    return packed(VIEW, float_rows(VIEW, cards, event_us, value))


def values_of(store: LmdbFeatureStore, cards: list[str]) -> list[float]:
    found: list[Fetched] = []
    store.fetch([Lookup(RowLayout.of(VIEW), [card.encode() for card in cards])], 0.05, found.extend)
    return [float(value) for value in found[0].stored.columns["f0"]]


def test_pushes_are_written_together_and_told_apart(layout: StateLayout) -> None:
    """Pushes of many clients at once are each answered with what became of their rows, and are there."""
    then = now_us() - SECOND_US

    async def push_all() -> list[list[PushOutcome]]:
        with contextlib.closing(FeaturePushes(layout.feature_writer_socket)) as pushes:
            cards = [[f"card-{number}", "shared"] for number in range(50)]
            outcomes = await asyncio.gather(
                *(pushes.push("cards", rows_of(pair, then, 1.0)) for pair in cards)
            )
            outcomes.append(await pushes.push("cards", rows_of(["shared"], then - 1, 2.0)))
            outcomes.append(await pushes.push("cards", rows_of(["shared"], then + 120 * SECOND_US, 2.0)))
            outcomes.append(await pushes.push("cards", rows_of(["shared"], then + 1, 3.0)))
            return outcomes

    with writer(layout):
        outcomes = asyncio.run(push_all())
        store = LmdbFeatureStore(layout.features)
        assert values_of(store, ["card-0", "card-49", "shared"]) == [1.0, 1.0, 3.0]
        store.close()
    assert all(first == PushOutcome.WRITTEN for first, _ in outcomes[:50])
    assert sorted(second for _, second in outcomes[:50]) == [PushOutcome.WRITTEN] + [PushOutcome.SAME] * 49
    assert outcomes[50:] == [[PushOutcome.OLDER], [PushOutcome.FUTURE], [PushOutcome.WRITTEN]]


def test_a_paused_writer_blocks_no_reader(layout: StateLayout) -> None:
    """While the writer is stopped, readers, new ones too, answer; a push ends when its time is up."""
    then = now_us() - SECOND_US

    async def push(value: float, timeout_s: float) -> None:
        with contextlib.closing(FeaturePushes(layout.feature_writer_socket, timeout_s)) as pushes:
            await pushes.push("cards", rows_of(["a"], then + int(value), value))

    with writer(layout) as process:
        asyncio.run(push(1.0, 30.0))
        store = LmdbFeatureStore(layout.features)
        assert values_of(store, ["a"]) == [1.0]
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert values_of(store, ["a"]) == [1.0]
        store.close()
        store = LmdbFeatureStore(layout.features)
        assert values_of(store, ["a"]) == [1.0]
        assert time.monotonic() - began < 10
        with pytest.raises(StoreUnavailable, match="push again"):
            asyncio.run(push(2.0, 0.3))
        process.send_signal(signal.SIGCONT)
        until(lambda: values_of(store, ["a"]) == [2.0], 30, "what was sent is written")
        store.close()


def test_acknowledged_pushes_survive_kills(layout: StateLayout) -> None:
    """Whenever the writer is killed, what it acknowledged is there, and in the history; the next goes on."""
    base = now_us() - 3600 * SECOND_US
    acknowledged: dict[str, float] = {}

    async def push_until_it_breaks(round_number: int, process: "subprocess.Popen[bytes]") -> None:
        pushes = FeaturePushes(layout.feature_writer_socket)
        with contextlib.closing(pushes), contextlib.suppress(StoreUnavailable):
            for number in range(100_000):
                if number == 1:
                    asyncio.get_running_loop().call_later(0.02 * round_number, process.kill)
                value = float(round_number * 100_000 + number)
                card = f"card-{number % 97}"
                await pushes.push("cards", rows_of([card], base + int(value), value))
                acknowledged[card] = value

    for round_number in range(1, 4):
        with writer(layout) as process:
            asyncio.run(push_until_it_breaks(round_number, process))
    store = LmdbFeatureStore(layout.features)
    assert acknowledged
    found = values_of(store, list(acknowledged))
    store.close()
    files = ViewFiles(layout.features, "cards")
    delta = SharedRows(files.delta)
    stored = delta.next_items(b"", 1000)
    delta.close()
    # The push that was under way may be there as well.
    assert all(have >= told for have, told in zip(found, acknowledged.values(), strict=True))
    assert {pushed.key: pushed.row for pushed in pushed_rows(files)} == dict(stored)


def test_a_view_that_is_only_pushed_is_compacted(layout: StateLayout) -> None:
    """Once enough pushes are in no snapshot the writer has one made; answers stay, and nobody waited."""
    declare(layout.root / "registry", VIEW)
    cards = [f"card-{number}" for number in range(50)]

    async def push() -> None:
        with contextlib.closing(FeaturePushes(layout.feature_writer_socket)) as pushes:
            await pushes.push("cards", rows_of(cards, now_us() - SECOND_US, 1.0))

    files = ViewFiles(layout.features, "cards")
    with writer(layout, compact_rows=50):
        asyncio.run(push())
    with writer(layout, compact_rows=50):  # which looks first, and then every ten seconds
        until(lambda: snapshot_numbers(files) == [1], 60, "a snapshot is there")
    info = snapshot_info(files, 1)
    assert (info.source, info.rows, info.pushed) == ("compaction", 50, 50)
    with contextlib.closing(LmdbFeatureStore(layout.features)) as store:
        assert values_of(store, cards) == [1.0] * 50


def test_a_full_disk_is_said_and_loses_nothing(layout: StateLayout) -> None:
    """A push that has no room is refused as a whole; what was there stays, and other views go on."""
    then = now_us() - SECOND_US
    many = [f"card-{number}" for number in range(5000)]

    async def fill() -> None:
        with contextlib.closing(FeaturePushes(layout.feature_writer_socket)) as pushes:
            await pushes.push("cards", rows_of(["a"], then, 1.0))
            with pytest.raises(StoreFull, match="cannot be written"):
                await pushes.push("cards", rows_of(many, then, 2.0))
            assert await pushes.push("cards", rows_of(["b"], then, 3.0)) == [PushOutcome.WRITTEN]
            assert await pushes.push("others", rows_of(["b"], then, 3.0)) == [PushOutcome.WRITTEN]
            with pytest.raises(StoreError, match="name"):
                await pushes.push("../others", rows_of(["b"], then, 3.0))

    with writer(layout, limited=True):
        asyncio.run(fill())
    store = LmdbFeatureStore(layout.features)
    assert values_of(store, ["a", "card-7", "b"]) == [1.0, 0.0, 3.0]
    store.close()


def test_pushes_leave_the_delta_once_snapshots_hold_them(layout: StateLayout) -> None:
    """Beside pushes, the writer takes out what all snapshots hold, when readers had time."""
    files, then = ViewFiles(layout.features, "cards"), now_us() - SECOND_US
    for number in range(2):
        with SnapshotWriter(layout.features, VIEW) as loader:
            loader.append(float_rows(VIEW, ["a", "b"], then, float(number)))
            loader.finish()
    os.utime(files.current, (time.time() - 60, time.time() - 60))
    with contextlib.closing(DeltaWriter(layout.features, "cards")) as delta:
        delta.push(rows_of(["a"], then, 5.0) + rows_of(["b"], then + 1, 5.0), now_us())
    with writer(layout):
        with contextlib.closing(SharedRows(files.delta)) as rows:
            until(lambda: rows.count() == 1, 10, "the row that snapshots hold has left")
        with contextlib.closing(LmdbFeatureStore(layout.features)) as store:
            assert values_of(store, ["a", "b"]) == [1.0, 5.0]


def test_a_push_that_cannot_be_written_fails_alone(layout: StateLayout) -> None:
    """Of pushes that are written together, one that the store refuses does not fail its neighbours."""

    async def push_all() -> list[object]:
        with contextlib.closing(FeaturePushes(layout.feature_writer_socket)) as pushes:
            return list(
                await asyncio.gather(
                    *(
                        pushes.push("cards", [(card, row) for _, row in rows_of(["a"], now_us(), 1.0)])
                        for card in (b"a", b"", b"b")
                    ),
                    return_exceptions=True,
                )
            )

    with writer(layout):
        good, bad, other = asyncio.run(push_all())
    assert good == other == [PushOutcome.WRITTEN]
    assert isinstance(bad, StoreError)


def test_what_is_no_frame_ends_only_its_own_connection(layout: StateLayout) -> None:
    """A client that sends nonsense is dropped; others are served."""

    async def talk() -> None:
        _, nonsense = await asyncio.open_unix_connection(
            f"/proc/self/cwd/{layout.feature_writer_socket.name}"
        )
        nonsense.write(b"\xff" * 64)
        with contextlib.closing(FeaturePushes(layout.feature_writer_socket)) as pushes:
            outcomes = await pushes.push("cards", rows_of(["a"], now_us(), 1.0))
            assert outcomes == [PushOutcome.WRITTEN]
            nonsense.close()

    with writer(layout), contextlib.chdir(layout.root):
        asyncio.run(talk())


def test_without_a_writer_a_push_fails_at_once(layout: StateLayout) -> None:
    """Nobody there is told as such."""
    with pytest.raises(StoreUnavailable):
        asyncio.run(FeaturePushes(layout.feature_writer_socket).push("cards", rows_of(["a"], 1, 1.0)))


@given(st.lists(st.lists(st.binary(max_size=20), max_size=4), max_size=4), st.integers(1, 40))
def test_frames_survive_any_cut(pushes: list[list[bytes]], size: int) -> None:
    """Frames are read the same however the bytes arrive."""
    sent = [Push(number, "cards", tuple(keys), tuple(keys)) for number, keys in enumerate(pushes)]
    data = b"".join(map(encode_frame, sent))
    buffer, heard = bytearray(), []
    for at in range(0, len(data), size):
        buffer += data[at : at + size]
        heard += list(pushes_in(buffer))
    assert heard == sent
    assert not buffer


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4, "little"),
        b"\1\0\0\0\xc1",
        b"\0\0\0\0",
        encode_frame(Push(1, "v", (b"k",), (b"r",))).replace(b"\x91\xc4\1r", b"\x90\xc0\xc0\xc0"),
    ],
)
def test_nonsense_is_no_frame(data: bytes) -> None:
    """Too long, no MessagePack, empty, or as many keys as there are no rows: refused."""
    with pytest.raises(MalformedFrame):
        list(pushes_in(bytearray(data)))
