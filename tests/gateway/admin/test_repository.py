"""The protocol's calls of the repository: what is loaded and unloaded, and what cannot be."""

from collections.abc import Callable
from pathlib import Path

from driftgate.models.publish.onnx_file import Published

from harness.control_room import ControlRoom, play

Publish = Callable[..., Published]
MODEL = "/api/models/m"


def test_the_protocols_repository_calls(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Index, load and unload answer as clients of the Open Inference Protocol send and expect them."""
    repository = "/v2/repository"

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        index = (await room.ask("POST", f"{repository}/index")).json()
        assert {(row["name"], row["version"], row["state"]) for row in index} == {
            ("m", "1", "READY"),
            ("m", "2", "READY"),
        }
        ready = await room.ask("POST", f"{repository}/index", {"ready": True})
        assert ready.json() == index
        unload = f"{repository}/models/m/unload"
        plain = {"parameters": {"unload_dependents": False}}
        assert (await room.ask("POST", unload, plain)).status_code == 409
        forced = {"parameters": {"force": True}}
        assert (await room.ask("POST", unload, forced)).status_code == 200
        await room.until(lambda: room.held() == [], "nothing is held")
        assert (await room.ask("POST", f"{repository}/models/m/load", {})).status_code == 200
        assert room.model().split.stable == 1
        assert (await room.ask("POST", f"{repository}/models/nope/load", {})).status_code == 404
        assert (await room.ask("POST", f"{repository}/models/nope/unload", {})).status_code == 404
        config = {"parameters": {"config": "{}"}}
        assert (await room.ask("POST", f"{repository}/models/m/load", config)).status_code == 400

    play(tmp_path, scene, workers=2)


def test_loading_what_cannot_be_loaded(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The answer is 400 with the reason, and what was served is still served."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        bad = publish_version(scale=3.0)
        (registry_root / "m" / str(bad.version) / "model.onnx").write_bytes(b"damaged")
        answer = await room.ask("POST", "/v2/repository/models/m/load")
        assert answer.status_code == 400
        assert "load failed for model 'm': version 3" in answer.json()["error"]
        assert room.held() == [1, 2]

    play(tmp_path, scene, workers=2)
