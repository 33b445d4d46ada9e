"""Settings of a model over the admin API: who changes them at the same time as others."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from driftgate.models.publish.onnx_file import Published

from harness.control_room import control_room

Publish = Callable[..., Published]
SETTINGS = "/api/models/m/settings"


def test_of_two_changes_at_once_one_is_told(tmp_path: Path, publish_version: Publish) -> None:
    """Of two who replace the settings that both have read one gets 412, and has changed nothing."""
    publish_version()
    texts = ('owner = "one"\n', 'owner = "other"\n')

    async def scene() -> None:
        async with control_room(tmp_path, workers=1) as room:
            await room.until(lambda: room.held() == [1], "version 1")
            etag = (await room.ask("GET", SETTINGS)).headers["etag"]
            answers = await asyncio.gather(
                *(room.ask("PUT", SETTINGS, {"text": text}, **{"if-match": etag}) for text in texts)
            )
            assert sorted(answer.status_code for answer in answers) == [200, 412]
            kept = next(
                text for text, answer in zip(texts, answers, strict=True) if answer.status_code == 200
            )
            assert (tmp_path / "registry" / "m" / "model.toml").read_text() == kept
            assert f'owner = "{room.model().settings.owner}"\n' == kept

    asyncio.run(scene())


def test_a_registry_that_is_gone_is_no_missing_model(tmp_path: Path) -> None:
    """While the registry cannot be read the answer is 503 and says so, not that there is no such model."""
    registry = tmp_path / "registry"
    registry.mkdir(exist_ok=True)

    async def scene() -> None:
        async with control_room(tmp_path) as room:
            await room.until(lambda: room.loop.facts().registry, "the registry")
            assert (await room.ask("GET", SETTINGS)).status_code == 404
            registry.rename(tmp_path / "gone")
            await room.until(lambda: room.loop.facts().registry is None, "the registry is gone")
            answer = await room.ask("GET", SETTINGS)
            assert (answer.status_code, "cannot be read" in answer.text) == (503, True), answer.text

    asyncio.run(scene())
