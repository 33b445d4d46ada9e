"""The admin API: what it shows of models and state, and whom it refuses."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.publish.onnx_file import Published

from harness.control_room import ControlRoom, play

Publish = Callable[..., Published]

MODEL = "/api/models/m"


def test_columns_that_are_hidden_under_a_wrong_name_are_shown(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A misspelt name in `drop` or `hash` is among its model's problems, with the versions it is not in."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        settings = registry_root / "m" / "model.toml"
        settings.write_text('[log]\ndrop = ["f0", "emial"]\nhash = ["f1", "emial"]\n')
        await room.until(lambda: room.model().settings.log.drop, "the settings")
        (problem,) = (await room.ask("GET", MODEL)).json()["problems"]
        assert "'emial'" in problem
        assert "version 1, 2 has nothing of that name" in problem
        assert (await room.ask("GET", "/api/state")).json()["problems"] == [f"m: {problem}"]
        settings.write_text('[log]\ndrop = ["f0", "x"]\n')
        await room.until(lambda: not room.model().settings.log.hash, "the corrected settings")
        assert (await room.ask("GET", MODEL)).json()["problems"] == []

    play(tmp_path, scene, workers=2)


def test_a_model_is_shown_with_reasons(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """Every version has a state, and one that is not served says why."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        publish_version(scale=3.0)
        await room.until(lambda: room.held() == [1, 3], "version 3")
        (registry_root / "m" / "4").mkdir()
        (registry_root / "m" / "4" / "manifest.json").write_text("{")
        (registry_root / "m" / "model.toml").write_text('owner = "risk"\nlatest = 3\n')
        await room.until(lambda: "line 2" in str(room.loop.facts().published("m")), "the problems")
        report = (await room.ask("GET", MODEL)).json()
        states = {version["version"]: (version["state"], version["reason"]) for version in report["versions"]}
        assert states[1] == states[3] == ("READY", "")
        assert states[2] == ("UNAVAILABLE", "published, but its model's version policy does not hold it")
        assert states[4][0] == "UNAVAILABLE"
        assert "manifest.json" in states[4][1]
        assert any("model.toml, line 2" in problem for problem in report["problems"])
        assert report["labels"] == {"stable": 1, "latest": 3}
        state = (await room.ask("GET", "/api/state")).json()
        assert state["desired"]["models"]["m"]["split"]["salt"] == ""
        assert any("model.toml" in problem for problem in state["problems"])

    play(tmp_path, scene, workers=2)


def test_what_the_registry_lacks_is_said(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A deleted version that is served, one asked for and not there, and a lost registry are named."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        (registry_root / "m" / "model.toml").write_text("[versions]\nspecific = [2, 7]\n")
        shutil.rmtree(registry_root / "m" / "1")

        async def reason(version: int) -> str:
            found = (await room.ask("GET", MODEL)).json()["versions"]
            return next((str(item["reason"]) for item in found if item["version"] == version), "")

        await room.until(lambda: room.model().settings.versions.specific == (2, 7), "the settings")
        assert await reason(1) == "no longer in the registry; it stays as long as it is needed here"
        assert await reason(7) == "model.toml asks for it, and it is not published"
        assert (await room.ask("GET", "/api/models")).json()["problems"] == []
        os.rename(registry_root, tmp_path / "away")
        await room.until(lambda: room.loop.registry.problem != "", "the registry is missed")
        (problem,) = (await room.ask("GET", "/api/models")).json()["problems"]
        assert "the registry cannot be read" in problem

    play(tmp_path, scene, workers=2)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8090"}, 200),
        ({"host": "[::1]:8090"}, 200),
        ({"origin": "http://127.0.0.1:8090"}, 200),
        ({"origin": "https://127.0.0.1:8090"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "["}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_foreign_pages_change_nothing(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    """A page in an operator's browser reaches nothing, under its own name or through a form."""

    async def scene(room: ControlRoom) -> None:
        answer = await room.client.post("/v2/repository/index", headers=headers)
        assert answer.status_code == status

    play(tmp_path, scene)


def test_every_route_is_described(tmp_path: Path) -> None:
    """The OpenAPI document comes from the table of routes."""

    async def scene(room: ControlRoom) -> None:
        document = (await room.ask("GET", "/openapi.json")).json()
        parameters = document["paths"]["/api/models/{model}/traffic"]["put"]["parameters"]
        assert {(it["name"], it["in"], it["required"]) for it in parameters} == {
            ("model", "path", True),
            ("dry_run", "query", False),
            ("wait", "query", False),
            ("If-Match", "header", True),
        }
        assert document["paths"]["/api/models/{model}/traffic"]["put"]
        assert "ModelReport" in document["components"]["schemas"]
        assert (await room.ask("GET", "/health")).json() == {"live": True}

    play(tmp_path, scene)
