"""The control loop on a real registry, cache and generation store, with workers on paper."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from driftgate.gateway.control.changes import promote, rollback, set_traffic
from driftgate.gateway.state.generations import GenerationStore
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.run.probation import ProbationLimits, ProbationReport, run_probation
from driftgate.models.storage.durable import write_synced

from harness.control_room import ControlRoom, PaperWorker, control_room, passes

Publish = Callable[..., Published]
Scene = Callable[[ControlRoom], Awaitable[None]]


def play(scene: Scene, root: Path, **options: object) -> None:
    """Run one control loop for as long as `scene` lasts."""

    async def run() -> None:
        async with control_room(root, **options) as room:  # type: ignore[arg-type] # options are control_room's
            await scene(room)

    asyncio.run(run())


def all_follow(room: ControlRoom) -> bool:
    """Whether every worker serves by the newest generation."""
    newest = room.loop.desired.generation
    return all(slot.generation == newest for slot in room.loop.facts().slots)


def test_the_first_generation_has_the_models(tmp_path: Path, publish_version: Publish) -> None:
    """A fresh start waits for the real checks of what is there, so that workers begin with weights."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.loop.desired.generation, "the first generation")
        assert room.loop.desired.generation == 1
        assert room.model().split.stable == 1

    play(scene, tmp_path, prove=partial(run_probation, limits=ProbationLimits()))


@pytest.mark.parametrize("exists", [True, False])
def test_without_models_the_first_generation_comes_at_once(tmp_path: Path, exists: bool) -> None:
    """An empty or missing registry is no reason to wait: workers become ready without models."""
    if exists:
        (tmp_path / "registry").mkdir()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.loop.desired.generation == 1, "the first generation")
        assert room.loop.desired.models == {}

    play(scene, tmp_path)


def test_publish_prepare_promote_rollback(tmp_path: Path, publish_version: Publish) -> None:
    """A version is held, promoted once every worker is ready, and rolled back in one generation."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        publish_version(scale=2.0)
        await room.until(lambda: room.held() == [1, 2], "version 2")
        assert room.model().split.stable == 1
        room.loop.submit("m", "me", lambda it: promote(it, 2))
        await room.until(lambda: room.model().split.stable == 2, "the promotion")
        await room.until(lambda: all_follow(room), "both workers have looked")
        before = room.loop.desired.generation
        room.loop.submit("m", "me", rollback)
        assert room.loop.desired.generation == before + 1
        assert (room.model().split.stable, room.model().pinned, room.loop.desired.who) == (1, 1, "me")

    play(scene, tmp_path, workers=2)


def test_a_restart_writes_nothing(tmp_path: Path, publish_version: Publish) -> None:
    """A new control process goes on from the newest generation and proves nothing twice."""
    publish_version()

    async def begin(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")

    async def go_on(room: ControlRoom) -> None:
        await room.until(lambda: room.loop.registry.looks, "a look at the registry")
        publish_version(name="n")
        await room.until(lambda: room.held("n") == [1], "another model")
        assert room.loop.desired.generation == 2

    proven: list[Path] = []

    def note(directory: Path) -> ProbationReport:
        proven.append(directory)
        return passes(directory)

    play(begin, tmp_path, prove=note)
    play(go_on, tmp_path, prove=note)
    assert len(proven) == 2


def test_a_bad_version_never_replaces_a_good_one(tmp_path: Path, publish_version: Publish) -> None:
    """Its reason is shown, the good version keeps its traffic, and the next good one is taken."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        bad = publish_version(scale=2.0)
        (tmp_path / "registry" / "m" / str(bad.version) / "model.onnx").write_bytes(b"damaged")
        await room.until(lambda: room.loop.facts().failed, "the reason")
        assert "model.onnx" in next(iter(room.loop.facts().failed.values()))
        assert room.held() == [1]
        publish_version(scale=3.0)
        await room.until(lambda: room.held() == [1, 3], "version 3")
        assert room.model().split.stable == 1

    play(scene, tmp_path, workers=1)


def test_what_fails_is_tried_again(tmp_path: Path, publish_version: Publish) -> None:
    """A check that failed for a passing reason is repeated after a while."""
    publish_version()
    answers = [ProbationReport(ok=False, reason="the machine was busy"), passes(tmp_path)]

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1 at the second try")

    play(scene, tmp_path, prove=lambda directory: answers.pop(0))


def test_a_damaged_copy_is_fetched_anew(tmp_path: Path, publish_version: Publish) -> None:
    """What a worker cannot load is hashed again: a damaged copy is replaced, a sound one is left alone."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1 is held")
        publish_version(scale=2.0)
        await room.until(lambda: room.held() == [1, 2], "version 2 is held too")
        cache = tmp_path / "state" / "cache"
        sound, damaged = (cache / version.digest / "model.onnx" for version in room.model().held)
        untouched, content = sound.stat().st_ctime_ns, damaged.read_bytes()
        damaged.write_bytes(b"x" + content[1:])
        room.workers[0].cannot_load = {1, 2}
        await room.until(
            lambda: damaged.exists() and damaged.read_bytes() == content, "the damaged copy is replaced"
        )
        assert sound.stat().st_ctime_ns == untouched
        assert room.held() == [1, 2]

    play(scene, tmp_path, workers=1)


@pytest.mark.parametrize("loss", ["renamed away", "emptied", "unreadable"])
def test_a_lost_registry_changes_nothing(tmp_path: Path, publish_version: Publish, loss: str) -> None:
    """Without its registry the gateway stays as it is, through a restart of control too."""
    publish_version()
    registry = tmp_path / "registry"

    async def begin(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        os.rename(registry, tmp_path / "away")
        if loss != "renamed away":
            registry.mkdir()
        if loss == "unreadable":
            registry.rmdir()
            registry.write_text("no directory")
        await looked_again(room)
        assert (room.held(), room.loop.desired.generation) == ([1], 1)

    async def go_on(room: ControlRoom) -> None:
        await looked_again(room)
        assert (room.held(), room.loop.desired.generation) == ([1], 1)

    play(begin, tmp_path, workers=1)
    play(go_on, tmp_path, workers=1)


async def looked_again(room: ControlRoom) -> None:
    """Wait for a look at the registry that begins after this."""
    look = room.loop.registry.rescan()
    await room.until(lambda: room.loop.registry.looks >= look, "a look at the registry")


def test_a_member_that_cannot_prepare_is_replaced(tmp_path: Path, publish_version: Publish) -> None:
    """Its boot is retired once; when the replacement is ready too the change is committed."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        broken = room.workers[1]
        broken.cannot_load = {2}
        publish_version(scale=2.0)
        await room.until(lambda: room.held() == [1, 2], "version 2")
        room.loop.submit("m", "me", lambda it: promote(it, 2))
        await room.until(lambda: broken.boots == 1, "its replacement")
        broken.cannot_load = set()
        await room.until(lambda: room.model().split.stable == 2, "the promotion")
        await room.until(lambda: room.loop.desired.retired_boots == (), "the boot is forgotten")
        assert room.workers[0].boots == 0

    play(scene, tmp_path, workers=2, prepare_timeout_s=0.3)


def test_what_no_worker_can_load_is_ejected(tmp_path: Path, publish_version: Publish) -> None:
    """A version that every worker loses gets no traffic within ten seconds; the split stays as it is."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        publish_version(scale=2.0)
        await room.until(lambda: room.held() == [1, 2], "version 2")
        room.loop.submit("m", "me", lambda it: set_traffic(it, {1: 900_000, 2: 100_000}))
        await room.until(lambda: room.model().split.versions == {1, 2}, "the split")
        split = room.model().split
        for worker in room.workers:
            worker.cannot_load = {2}
        await room.until(lambda: room.model().ejected_versions == {2}, "the ejection")
        assert (room.model().split, room.loop.desired.who) == (split, "control")
        answer = await room.ask("GET", "/api/models/m")
        assert answer.json()["ejected"] == {"2": "no worker can load it"}

    play(scene, tmp_path, workers=2)


def test_a_change_that_fails_moves_nothing(tmp_path: Path, publish_version: Publish) -> None:
    """If the replacement cannot prepare either the split stays and the version keeps the reason."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        room.workers[0].cannot_load = {2}
        publish_version(scale=2.0)
        await room.until(lambda: room.held() == [1, 2], "version 2")
        room.loop.submit("m", "me", lambda it: promote(it, 2))
        await room.until(lambda: "2" in room.model().refused, "the refusal")
        assert (room.model().split.stable, room.model().change) == (1, None)

    play(scene, tmp_path, workers=1, prepare_timeout_s=0.2)


def test_the_cache_keeps_what_somebody_needs(tmp_path: Path, publish_version: Publish) -> None:
    """A version that nobody wants stays in the cache while a worker has it, and goes after."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        cache, worker = VersionCache(room.layout.cache), room.workers[0]
        await room.until(lambda: room.held() == [1], "version 1")
        for version in (2, 3):
            publish_version(scale=float(version))
            await room.until(lambda: version in room.held(), f"version {version}")  # noqa: B023 - awaited here
        assert room.held() == [1, 3]
        await room.until(lambda: len(cache.digests()) == 2, "version 2 is gone from the cache")
        assert worker.boots == 0

    play(scene, tmp_path, workers=1)


def test_a_stale_control_overwrites_nothing(tmp_path: Path, publish_version: Publish) -> None:
    """Of two control loops each sees what the other committed and decides again."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        async with control_room(tmp_path) as other:
            publish_version(name="n")
            both = (room.loop, other.loop)
            await room.until(lambda: all("n" in loop.desired.models for loop in both), "both know n")
        store = GenerationStore(room.layout.desired)
        assert store.verify_chain() == room.loop.desired.generation == 2

    play(scene, tmp_path)


def test_a_worker_that_joins_at_the_last_moment_is_waited_for(
    tmp_path: Path, publish_version: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are not committed past a member that was not there when they were decided, and is not ready."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        publish_version(scale=2.0)
        await room.until(lambda: room.held() == [1, 2], "version 2")
        await room.until(lambda: all_follow(room), "the worker has loaded it")
        late: list[PaperWorker] = []

        def join(path: Path, data: bytes) -> None:
            write_synced(path, data)
            if not late:
                late.append(PaperWorker(room.layout, 1, cannot_load={2}))
                late[0].follow()

        monkeypatch.setattr("driftgate.gateway.state.generations.write_synced", join)
        room.loop.submit("m", "me", lambda it: promote(it, 2))
        assert (room.model().split.stable, room.model().change is not None) == (1, True)
        late[0].cannot_load = set()
        room.workers += late
        await room.until(lambda: room.model().split.stable == 2, "the promotion")

    play(scene, tmp_path, workers=1)


def test_the_loop_survives_a_full_disk(tmp_path: Path, publish_version: Publish) -> None:
    """A step that cannot write is counted and tried again."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1")
        room.layout.desired.rename(tmp_path / "aside")
        publish_version(name="n")
        await room.until(lambda: room.loop.health.failures, "a failure")
        (tmp_path / "aside").rename(room.layout.desired)
        await room.until(lambda: room.held("n") == [1], "n")

    play(scene, tmp_path)
