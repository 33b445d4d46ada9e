"""A worker's copy of the desired state: what it loads, when it swaps, and what it frees."""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path

import pytest

from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.replica import Replica
from driftgate.gateway.state.counters import CounterFile
from driftgate.gateway.state.desired import (
    TOTAL_PPM,
    Arm,
    DesiredModel,
    DesiredState,
    HeldVersion,
    TrafficSplit,
    UnreadableState,
)
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry

Publish = Callable[..., Published]
WITHIN_S = 30.0
NO_SUCH_DIGEST = "0" * 64


class Stage:
    """A replica on real generations and a real cache, and control's hand that commits."""

    def __init__(self, root: Path) -> None:
        (root / "desired").mkdir()
        self.store = GenerationStore(root / "desired")
        self.cache = VersionCache(root / "cache")
        counters = CounterFile(root / "counters")
        self.replica = Replica(self.store, self.cache, counters, Logger("worker", stream=BytesIO()), 1)

    def commit(self, held: dict[int, str], weights: dict[int, int]) -> None:
        """Commit a generation of model `m` that holds versions with these digests and weights."""
        before = self.store.newest_number()
        arms = tuple(Arm(f"v{version}", version, weight) for version, weight in weights.items())
        model = DesiredModel(
            split=TrafficSplit("00", arms),
            held=tuple(HeldVersion(version, digest, 1) for version, digest in held.items()),
        )
        previous = self.store.digest(before) if before else NO_PREDECESSOR
        self.store.commit(
            DesiredState(
                generation=before + 1, previous=previous, who="test", why="", at="", models={"m": model}
            )
        )

    def states(self) -> dict[int, str]:
        """What the replica says of each version."""
        return {status.version: status.state for status in self.replica.versions()}

    async def until(self, done: Callable[[], object]) -> None:
        """Look, as a worker does, until `done`."""
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while not done():
            assert asyncio.get_running_loop().time() < deadline, self.states()
            self.replica.current(patience_s=0.0)
            await asyncio.sleep(0.001)


@pytest.fixture
def digests(publish_version: Publish, registry_root: Path, tmp_path: Path) -> dict[int, str]:
    """Three versions of `m` in the cache, by their number."""
    for number in (1, 2, 3):
        publish_version(version=number, scale=float(number))
    registry, cache = DirectoryRegistry(registry_root), VersionCache(tmp_path / "cache")
    versions = registry.scan().models["m"].versions
    for published in versions.values():
        cache.add(registry, published)
    return {number: published.digest for number, published in versions.items()}


def play(root: Path, scene: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a scene on a loop of its own."""

    async def run() -> None:
        await scene(Stage(root))

    asyncio.run(run())


def test_a_table_comes_into_force_once_its_versions_are_loaded(
    tmp_path: Path, digests: dict[int, str]
) -> None:
    """What has weight is waited for; what is only held is not, and answers by its number later."""

    async def scene(stage: Stage) -> None:
        stage.commit(digests, {2: TOTAL_PPM})
        await stage.until(lambda: stage.replica.ready)
        entry = stage.replica.table.route("m").entry
        assert entry is not None
        assert entry.version.loaded.version == 2
        await stage.until(lambda: stage.states() == dict.fromkeys((1, 2, 3), "READY"))
        assert stage.replica.table.route("m").versions == (1, 2, 3)

    play(tmp_path, scene)


def test_what_has_weight_is_loaded_first(tmp_path: Path, digests: dict[int, str]) -> None:
    """A worker that starts can answer before it has loaded what takes no traffic."""

    async def scene(stage: Stage) -> None:
        stage.commit(digests, {3: TOTAL_PPM})
        await stage.until(lambda: "READY" in stage.states().values())
        assert stage.states()[3] == "READY"

    play(tmp_path, scene)


def test_a_version_is_freed_after_its_last_request(tmp_path: Path, digests: dict[int, str]) -> None:
    """A version that is no longer held takes no new handle and is freed when the last one is back."""

    async def scene(stage: Stage) -> None:
        freed: list[int] = []
        stage.replica.on_unload = lambda served: freed.append(served.loaded.version)
        stage.commit(digests, {1: TOTAL_PPM})
        await stage.until(lambda: stage.states().get(1) == "READY" and stage.replica.ready)
        loaded = stage.replica.table.route("m").explicit("1").version.loaded
        loaded.acquire()
        stage.commit({2: digests[2]}, {2: TOTAL_PPM})
        await stage.until(lambda: stage.replica.table.generation == 2)
        assert stage.states()[1] == "UNLOADING"
        assert 1 not in freed
        loaded.release()
        await stage.until(lambda: 1 in freed)
        assert 1 not in stage.states()

    play(tmp_path, scene)


def test_what_was_dropped_while_it_was_loaded_is_freed(tmp_path: Path, digests: dict[int, str]) -> None:
    """A version that finishes loading after it was dropped does not stay in memory."""

    async def scene(stage: Stage) -> None:
        freed: list[int] = []
        stage.replica.on_unload = lambda served: freed.append(served.loaded.version)
        stage.commit({1: digests[1]}, {1: TOTAL_PPM})
        await stage.until(lambda: stage.replica.ready)
        stage.commit({1: digests[1], 2: digests[2]}, {1: TOTAL_PPM})
        stage.replica.current(patience_s=0.0)
        assert stage.states()[2] == "LOADING"
        stage.commit({1: digests[1]}, {1: TOTAL_PPM})
        stage.replica.current(patience_s=0.0)
        assert 2 not in stage.states()
        await stage.until(lambda: freed == [2])

    play(tmp_path, scene)


@pytest.mark.parametrize("digest", [NO_SUCH_DIGEST, "no digest at all"])
def test_what_cannot_be_loaded_holds_up_nobody(tmp_path: Path, digests: dict[int, str], digest: str) -> None:
    """A version that cannot be loaded is shown with its reason; the rest of its table is in force."""

    async def scene(stage: Stage) -> None:
        stage.commit({1: digests[1], 2: digest}, {1: TOTAL_PPM // 2, 2: TOTAL_PPM // 2})
        await stage.until(lambda: stage.replica.ready)
        assert stage.states() == {1: "READY", 2: "UNAVAILABLE"}
        assert all(status.reason for status in stage.replica.versions() if status.version == 2)
        target, _ = stage.replica.table.route("m").choose(b"any key")
        assert target.version.loaded.version == 1

    play(tmp_path, scene)


def test_an_unreadable_generation_changes_nothing_for_requests(
    tmp_path: Path, digests: dict[int, str]
) -> None:
    """Requests are answered from the table in force; only the regular look says what is wrong."""

    async def scene(stage: Stage) -> None:
        stage.commit({1: digests[1]}, {1: TOTAL_PPM})
        await stage.until(lambda: stage.replica.ready)
        (tmp_path / "desired" / "2.json").write_bytes(b"damaged")
        assert stage.replica.current(patience_s=0.0).generation == 1
        with pytest.raises(UnreadableState):
            stage.replica.look(0.0)

    play(tmp_path, scene)
