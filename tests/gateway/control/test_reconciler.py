"""The control loop on a real registry, cache and generation store, with workers on paper."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from driftgate.gateway.state.generations import GenerationStore
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.run.probation import ProbationLimits, ProbationReport, run_probation

from harness.control_room import ControlRoom, control_room, passes, play

Publish = Callable[..., Published]


def test_the_first_generation_has_the_models(tmp_path: Path, publish_version: Publish) -> None:
    """A fresh start waits for the real checks of what is there, so that workers begin with weights."""
    publish_version()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.loop.desired.generation, "the first generation")
        assert room.loop.desired.generation == 1
        assert room.model().split.stable == 1

    play(tmp_path, scene, prove=partial(run_probation, limits=ProbationLimits()))


@pytest.mark.parametrize("exists", [True, False])
def test_without_models_the_first_generation_comes_at_once(tmp_path: Path, exists: bool) -> None:
    """An empty or missing registry is no reason to wait: workers become ready without models."""
    if exists:
        (tmp_path / "registry").mkdir()

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.loop.desired.generation == 1, "the first generation")
        assert room.loop.desired.models == {}

    play(tmp_path, scene)


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

    play(tmp_path, begin, prove=note)
    play(tmp_path, go_on, prove=note)
    assert len(proven) == 2


def test_what_fails_is_tried_again(tmp_path: Path, publish_version: Publish) -> None:
    """A check that failed for a passing reason is repeated after a while."""
    publish_version()
    answers = [ProbationReport(ok=False, reason="the machine was busy"), passes(tmp_path)]

    async def scene(room: ControlRoom) -> None:
        await room.until(lambda: room.held() == [1], "version 1 at the second try")

    play(tmp_path, scene, prove=lambda directory: answers.pop(0))


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

    play(tmp_path, scene, workers=1)


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

    play(tmp_path, begin, workers=1)
    play(tmp_path, go_on, workers=1)


async def looked_again(room: ControlRoom) -> None:
    """Wait for a look at the registry that begins after this."""
    look = room.loop.registry.rescan()
    await room.until(lambda: room.loop.registry.looks >= look, "a look at the registry")


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

    play(tmp_path, scene, workers=1)


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

    play(tmp_path, scene)


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

    play(tmp_path, scene)
