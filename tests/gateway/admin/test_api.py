"""The admin API: what it shows, what it changes, and what it refuses."""

import asyncio
import json
import os
import resource
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from driftgate.models.publish.onnx_file import Published

from harness.control_room import ControlRoom, control_room

Publish = Callable[..., Published]
Scene = Callable[[ControlRoom], Awaitable[None]]

MODEL = "/api/models/m"


def play(root: Path, scene: Scene, workers: int = 2) -> None:
    """Run one control loop for as long as `scene` lasts."""

    async def run() -> None:
        async with control_room(root, workers) as room:
            await scene(room)

    asyncio.run(run())


ANY = {"if-match": "*"}


def shares(answer: httpx.Response) -> dict[int, float]:
    """Versions and their percentages in the answer to a change."""
    assert answer.status_code == 200, answer.text
    return {arm["version"]: arm["percent"] for arm in answer.json()["model"]["traffic"]}


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

    play(tmp_path, scene)


def test_operators_move_traffic(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """Traffic, promote, rollback, pin and unpin answer when they are in force."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        split = await room.ask("PUT", f"{MODEL}/traffic", {"arms": {"1": 90, "2": 10}}, **ANY)
        assert shares(split) == {1: 90.0, 2: 10.0}
        ppm = await room.ask("PUT", f"{MODEL}/traffic", {"weights_ppm": {"1": 999_999, "2": 1}}, **ANY)
        assert shares(ppm) == {1: 99.9999, 2: 0.0001}
        assert shares(await room.ask("POST", f"{MODEL}/promote", {"version": 2})) == {2: 100.0}
        back = await room.ask("POST", f"{MODEL}/rollback")
        assert (shares(back), back.json()["model"]["pinned"]) == ({1: 100.0}, 1)
        refused = await room.ask("POST", f"{MODEL}/promote", {"version": 2})
        assert refused.status_code == 409
        assert (await room.ask("POST", f"{MODEL}/unpin")).json()["model"]["pinned"] is None
        assert (await room.ask("POST", f"{MODEL}/pin")).json()["model"]["pinned"] == 1
        assert room.loop.desired.who == "admin-api@127.0.0.1"
        assert room.loop.desired.why == "pin m to version 1"

    play(tmp_path, scene)


REFUSED = [
    ("PUT", "/traffic", '{"arms": {"1": 110, "2": -10}}', 400, "negative"),
    ("PUT", "/traffic", '{"arms": {"1": 50, "2": 49}}', 400, "sum to 100 percent"),
    ("PUT", "/traffic", '{"arms": {"1": NaN, "2": 1}}', 400, "NaN"),
    ("PUT", "/traffic", '{"arms": {"1": 1e999, "2": 1}}', 400, "finite"),
    ("PUT", "/traffic", '{"arms": {"1": "100"}}', 400, "arms"),
    ("PUT", "/traffic", '{"arms": {"1": true}}', 400, "arms"),
    ("PUT", "/traffic", '{"arms": {"1": 90, "1": 10}}', 400, "twice"),
    ("PUT", "/traffic", '{"arms": {"1": 90, "9": 10}}', 404, "no version 9"),
    ("PUT", "/traffic", '{"arms": {"1": 90, "3": 10}}', 409, "cannot be loaded"),
    ("PUT", "/traffic", '{"weights_ppm": {"1": 0.5}}', 400, "weights_ppm"),
    ("PUT", "/traffic", '{"arms": {"1": 100}, "weights_ppm": {"1": 1000000}}', 400, "either"),
    ("PUT", "/traffic", "{}", 400, "either"),
    ("PUT", "/traffic", json.dumps({"arms": {str(v): 0.5 for v in range(1, 201)}}), 400, "at most 64"),
    ("PUT", "/traffic", "[" * 100_000, 400, "nested"),
    ("PUT", "/traffic", "{", 400, "JSON"),
    ("PUT", "/traffic", "[]", 400, "object"),
    ("PUT", "/traffic", "\ufeff{}", 400, "JSON"),
    ("PUT", "/traffic", " " * 2**20 + "{}", 413, "1048576 bytes"),
    ("POST", "/promote", "{}", 400, "version"),
    ("POST", "/promote", '{"version": 0}', 400, "version"),
    ("POST", "/promote", '{"version": 2.5}', 400, "version"),
    ("POST", "/promote", '{"version": true}', 400, "version"),
    ("POST", "/promote", '{"version": ' + "9" * 5000 + "}", 400, "JSON"),
    ("POST", "/promote", '{"version": 2, "now": 1}', 400, "now"),
    ("POST", "/promote", '{"version": 9}', 404, "no version 9"),
    ("POST", "/promote", '{"version": 3}', 409, "cannot be loaded"),
    ("POST", "/rollback", "", 409, "no earlier version"),
    ("POST", "/rollback", '{"to": 1}', 400, "to"),
    ("POST", "/promote?dryrun=true", '{"version": 2}', 400, "it knows dry_run, wait"),
    ("POST", "/promote?dry_run=true&dry_run=false", '{"version": 2}', 400, "twice"),
    ("GET", "/promote", "", 405, "Method Not Allowed"),
    ("GET", "/", "", 404, "Not Found"),
]


def test_a_bad_request_changes_nothing(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """Each row is refused with a text that says why, and the newest generation stays."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        bad = publish_version(scale=3.0)
        (registry_root / "m" / str(bad.version) / "model.onnx").write_bytes(b"damaged")
        await room.until(lambda: room.loop.facts().failed, "version 3 is refused")
        before = room.loop.desired
        for method, path, body, status, says in REFUSED:
            answer = await room.client.request(method, MODEL + path, content=body.encode(), headers=ANY)
            assert (answer.status_code, list(answer.json())) == (status, ["error"]), body[:80]
            assert says in answer.json()["error"], body[:80]
            assert room.loop.desired == before, body[:80]

    play(tmp_path, scene)


def test_concurrent_changes_need_the_newest_etag(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """The ETag is the generation: a change made for an older one is 412, without If-Match it is taken."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        etag = (await room.ask("GET", MODEL)).headers["etag"]
        assert (await room.ask("POST", f"{MODEL}/pin", None, **{"if-match": etag})).status_code == 200
        stale = await room.ask("POST", f"{MODEL}/unpin", None, **{"if-match": etag})
        assert (stale.status_code, room.model().pinned) == (412, 1)
        assert (await room.ask("POST", f"{MODEL}/unpin", None, **{"if-match": "what"})).status_code == 412
        assert (await room.ask("POST", f"{MODEL}/unpin")).status_code == 200

    play(tmp_path, scene)


def test_a_change_may_be_left_waiting(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """With `?wait=0` the answer comes at once and says that the change waits for workers."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        room.workers[0].cannot_load = {2}
        publish_version(scale=3.0)
        room.workers[0].cannot_load = {3}
        await room.until(lambda: room.held() == [1, 3], "version 3")
        answer = await room.ask("POST", f"{MODEL}/promote?wait=0", {"version": 3})
        assert (answer.status_code, answer.json()["state"]) == (202, "pending")
        assert "promote m to version 3" in answer.json()["model"]["change"]["why"]
        room.workers[0].cannot_load = set()
        await room.until(lambda: room.model().split.stable == 3, "the promotion")

    play(tmp_path, scene)


def test_a_change_that_fails_says_why(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The waiting call gets 409 with the reason once the workers could not prepare twice."""

    async def run() -> None:
        async with control_room(tmp_path, 1, prepare_timeout_s=0.1) as room:
            room.workers[0].cannot_load = {2}
            await room.hold_two(publish_version)
            answer = await room.ask("POST", f"{MODEL}/promote", {"version": 2})
            assert answer.status_code == 409
            assert "could not prepare it in time" in answer.json()["error"]

    asyncio.run(run())


def test_a_change_that_fails_at_once_says_why(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A version that does not fit into memory is a conflict with the figures, and nothing has moved."""

    async def run() -> None:
        async with control_room(tmp_path, 1, memory_bytes=2 * 2**20) as room:
            await room.hold_two(publish_version)
            assert shares(await room.ask("POST", f"{MODEL}/promote", {"version": 2})) == {2: 100.0}
            publish_version(scale=3.0)
            await room.until(lambda: len(room.loop.facts().verified) == 3, "version 3 is proven")
            answer = await room.ask("POST", f"{MODEL}/promote", {"version": 3})
            assert (answer.status_code, room.held()) == (409, [1, 2])
            assert "not enough memory" in answer.json()["error"]

    asyncio.run(run())


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

    play(tmp_path, scene)


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

    play(tmp_path, scene)


def test_a_state_that_cannot_be_written_is_named(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """An operator is told that the disk is at fault; the change is not made."""

    async def run() -> None:
        async with control_room(tmp_path) as room:
            publish_version()
            await room.until(lambda: room.held() == [1], "version 1")
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            try:
                answer = await room.ask("POST", f"{MODEL}/pin")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert answer.status_code == 503
            assert answer.json() == {"error": "the state directory cannot be used: File too large"}
            assert room.model().pinned is None

    asyncio.run(run())


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

    play(tmp_path, scene)


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

    play(tmp_path, scene)


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

    play(tmp_path, scene, workers=0)


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

    play(tmp_path, scene, workers=0)
