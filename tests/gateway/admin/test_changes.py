"""Changes that the admin API makes: what they move, what they wait for, and why one fails."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import httpx

from driftgate.models.publish.onnx_file import Published

from harness.control_room import ControlRoom, play

Publish = Callable[..., Published]
MODEL = "/api/models/m"
ANY = {"if-match": "*"}
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


def shares(answer: httpx.Response) -> dict[int, float]:
    """Versions and their percentages in the answer to a change."""
    assert answer.status_code == 200, answer.text
    return {arm["version"]: arm["percent"] for arm in answer.json()["model"]["traffic"]}


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

    play(tmp_path, scene, workers=2)


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

    play(tmp_path, scene, workers=2)


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

    play(tmp_path, scene, workers=2)


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

    play(tmp_path, scene, workers=2)


def test_a_change_that_fails_says_why(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The waiting call gets 409 with the reason once the workers could not prepare twice."""

    async def scene(room: ControlRoom) -> None:
        room.workers[0].cannot_load = {2}
        await room.hold_two(publish_version)
        answer = await room.ask("POST", f"{MODEL}/promote", {"version": 2})
        assert answer.status_code == 409
        assert "could not prepare it in time" in answer.json()["error"]

    play(tmp_path, scene, workers=1, prepare_timeout_s=0.1)


def test_a_change_that_fails_at_once_says_why(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A version that does not fit into memory is a conflict with the figures, and nothing has moved."""

    async def scene(room: ControlRoom) -> None:
        await room.hold_two(publish_version)
        assert shares(await room.ask("POST", f"{MODEL}/promote", {"version": 2})) == {2: 100.0}
        publish_version(scale=3.0)
        await room.until(lambda: len(room.loop.facts().verified) == 3, "version 3 is proven")
        answer = await room.ask("POST", f"{MODEL}/promote", {"version": 3})
        assert (answer.status_code, room.held()) == (409, [1, 2])
        assert "not enough memory" in answer.json()["error"]

    play(tmp_path, scene, workers=1, memory_bytes=2 * 2**20)


def test_a_state_that_cannot_be_written_is_named(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """An operator is told that the disk is at fault; the change is not made."""

    async def scene(room: ControlRoom) -> None:
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

    play(tmp_path, scene)
