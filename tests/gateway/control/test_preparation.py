"""The control loop prepares a version on every worker before it moves traffic, with workers on paper."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.gateway.control.changes import promote, rollback, set_traffic
from driftgate.models.publish.onnx_file import Published
from driftgate.models.storage.durable import write_synced

from harness.control_room import ControlRoom, PaperWorker, play

Publish = Callable[..., Published]


def all_follow(room: ControlRoom) -> bool:
    """Whether every worker serves by the newest generation."""
    newest = room.loop.desired.generation
    return all(slot.generation == newest for slot in room.loop.facts().slots)


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

    play(tmp_path, scene, workers=2)


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

    play(tmp_path, scene, workers=1)


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

    play(tmp_path, scene, workers=2, prepare_timeout_s=0.3)


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

    play(tmp_path, scene, workers=2)


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

    play(tmp_path, scene, workers=1, prepare_timeout_s=0.2)


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

    play(tmp_path, scene, workers=1)
