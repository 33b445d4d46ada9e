"""Splits through the admin API: what must be said beforehand, what is said in return, and who gets a key."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from driftgate.gateway.routing.table import ModelRoute
from driftgate.gateway.state.desired import TOTAL_PPM, Assignment, KeySource, TrafficSplit
from driftgate.models.publish.onnx_file import Published

from harness.control_room import ControlRoom, Scene, play

MODEL = "/api/models/m"
ANY = {"if-match": "*"}
HALVES = {"arms": {"1": 50, "2": 50}}

Publish = Callable[..., Published]


def play_two(root: Path, publish: Publish, scene: Scene) -> None:
    """Serve version 1, hold version 2, and run `scene`."""

    async def both(room: ControlRoom) -> None:
        await room.hold_two(publish)
        await scene(room)

    play(root, both, workers=1)


@pytest.mark.parametrize(("method", "body"), [("PUT", HALVES), ("DELETE", None)])
def test_a_split_is_replaced_by_who_has_seen_it(
    tmp_path: Path, registry_root: Path, publish_version: Publish, method: str, body: object
) -> None:
    """Without If-Match 428, with the ETag of an older state 412, with the newest one it is done."""

    async def scene(room: ControlRoom) -> None:
        before = room.loop.desired
        assert (await room.ask(method, f"{MODEL}/traffic", body)).status_code == 428
        stale = {"if-match": f'"{before.generation - 1}"'}
        assert (await room.ask(method, f"{MODEL}/traffic", body, **stale)).status_code == 412
        assert room.loop.desired == before
        etag = (await room.ask("GET", MODEL)).headers["etag"]
        answer = await room.ask(method, f"{MODEL}/traffic", body, **{"if-match": etag})
        assert answer.status_code == 200, answer.text

    play_two(tmp_path, publish_version, scene)


def test_of_concurrent_changes_one_wins(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Ten operators who saw the same state ask for ten splits: one gets it, the others are told."""

    async def scene(room: ControlRoom) -> None:
        headers = {"if-match": (await room.ask("GET", MODEL)).headers["etag"]}
        asks = [
            room.ask("PUT", f"{MODEL}/traffic", {"arms": {"1": 100 - n, "2": n}}, **headers)
            for n in range(1, 11)
        ]
        found = sorted(answer.status_code for answer in await asyncio.gather(*asks))
        assert found == [200, *[412] * 9]

    play_two(tmp_path, publish_version, scene)


def test_a_change_says_what_it_moves(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """A dry run commits nothing and announces the same figures as the change then has."""

    async def scene(room: ControlRoom) -> None:
        before = room.loop.desired
        path, wanted = f"{MODEL}/traffic", {"arms": {"1": 95, "2": 5}}
        tried = (await room.ask("PUT", f"{path}?dry_run=true", wanted, **ANY)).json()
        assert room.loop.desired == before
        assert tried["state"] == "dry-run"
        assert tried["why"] == "traffic of m to 1: 95 %, 2: 5 %"
        assert tried["moves"] == {
            "moved_ppm": 50_000,
            "rebuckets": False,
            "arms": [
                {"version": 1, "joining_ppm": 0, "leaving_ppm": 50_000},
                {"version": 2, "joining_ppm": 50_000, "leaving_ppm": 0},
            ],
        }
        done = (await room.ask("PUT", path, wanted, **ANY)).json()
        assert (done["state"], done["in_force"], done["moves"]) == ("committed", True, tried["moves"])
        for call in ("POST rollback", "POST pin", "POST unpin", "DELETE traffic"):
            method, verb = call.split()
            before = room.loop.desired
            answer = await room.ask(method, f"{MODEL}/{verb}?dry_run=true", **ANY)
            assert (answer.json()["state"], room.loop.desired) == ("dry-run", before)
        assert (await room.ask("POST", f"{MODEL}/rollback?dry_run=maybe")).status_code == 400

    play_two(tmp_path, publish_version, scene)


def test_clearing_ends_the_split(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The stable version gets all traffic."""

    async def scene(room: ControlRoom) -> None:
        await room.ask("PUT", f"{MODEL}/traffic", {"arms": {"1": 90, "2": 10}}, **ANY)
        cleared = (await room.ask("DELETE", f"{MODEL}/traffic", **ANY)).json()
        assert cleared["moves"]["moved_ppm"] == 100_000
        assert room.model().split.stable == 1
        assert len(room.model().split.arms) == 1

    play_two(tmp_path, publish_version, scene)


def test_who_gets_a_key_is_explained(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The answer is what a worker would choose, now and at an earlier generation."""

    async def scene(room: ControlRoom) -> None:
        whole = room.loop.desired.generation
        await room.ask("PUT", f"{MODEL}/traffic", HALVES, **ANY)
        route = ModelRoute("m", room.model().split, {1: 1, 2: 2}, 0)
        for n in range(20):
            found = (await room.ask("GET", f"{MODEL}/assignment?key=customer-{n}")).json()
            target, bucket = route.choose(b"customer-%d" % n)
            assert (found["version"], found["bucket"]) == (target.version, bucket)
            assert f"bucket {found['bucket']} of 1000000" in found["why"]
            earlier = await room.ask("GET", f"{MODEL}/assignment?key=customer-{n}&at={whole}")
            assert (earlier.json()["version"], earlier.json()["bucket"]) == (1, found["bucket"])
        for query, status in (
            ("", 400),
            (f"key={'x' * 1025}", 400),
            ("key=a&at=x", 400),
            ("key=a&at=999", 404),
        ):
            assert (await room.ask("GET", f"{MODEL}/assignment?{query}")).status_code == status, query

    play_two(tmp_path, publish_version, scene)


def test_salts_are_made_once_and_never_shown(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Two secrets of 16 bytes for each model stay through every change; no answer holds either."""

    async def scene(room: ControlRoom) -> None:
        split = room.model().split
        salts = {split.salt, split.variant_salt}
        assert {len(bytes.fromhex(salt)) for salt in salts} == {16}
        assert len(salts) == 2
        answers = [
            await room.ask("PUT", f"{MODEL}/traffic", HALVES, **ANY),
            await room.ask("POST", f"{MODEL}/rollback"),
            await room.ask("GET", MODEL),
            await room.ask("GET", "/api/state"),
            await room.ask("GET", f"{MODEL}/assignment?key=a"),
        ]
        assert {room.model().split.salt, room.model().split.variant_salt} == salts
        assert not any(salt in answer.text for salt in salts for answer in answers)

    play_two(tmp_path, publish_version, scene)


VARIANT = {"salt": "variant"}
BY_COLUMN = {"key": {"kind": "input", "name": "f1"}}


def test_what_assigns_is_shown_in_full(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """Source and salt are there also where they are the usual ones; a key that is made here has no name."""

    async def scene(room: ControlRoom) -> None:
        shown = (await room.ask("GET", MODEL)).json()["assignment"]
        assert shown == {"key": {"kind": "header", "name": "x-routing-key"}, "salt": "rollout"}
        body = {"arms": {"1": 100}, "assignment": {"key": {"kind": "prediction-id"}}}
        answer = await room.ask("PUT", f"{MODEL}/traffic", body, **ANY)
        assert answer.json()["model"]["assignment"]["key"] == {"kind": "prediction-id", "name": ""}
        assert answer.json()["moves"]["moved_ppm"] == 0

    play_two(tmp_path, publish_version, scene)


def test_dealing_keys_out_anew_needs_force(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """While versions share traffic another key or salt is refused, saying how many would change version."""

    async def scene(room: ControlRoom) -> None:
        path = f"{MODEL}/traffic"
        first: dict[str, Any] = {**HALVES, "assignment": BY_COLUMN}
        assert (await room.ask("PUT", path, first, **ANY)).status_code == 200
        assert room.model().split.assignment == Assignment(KeySource("input", "f1"))
        other = {**HALVES, "assignment": VARIANT}
        refused = await room.ask("PUT", path, other, **ANY)
        assert (refused.status_code, "about 50 %" in refused.json()["error"]) == (409, True)
        forced = await room.ask("PUT", path, {**other, "force": True}, **ANY)
        assert forced.json()["moves"]["rebuckets"]
        assert room.model().split.assignment == Assignment(salt="variant")
        assert (await room.ask("PUT", path, HALVES, **ANY)).json()["moves"]["moved_ppm"] == 0

    play_two(tmp_path, publish_version, scene)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ({"kind": "input", "name": "nope"}, "no column 'nope'"),
        ({"kind": "input", "name": "x"}, "no column 'x'"),
        ({"kind": "header", "name": "X-Key"}, "lower case"),
        ({"kind": "header", "name": "x\r\ny"}, "not a header's name"),
        ({"kind": "header", "name": ""}, "not a header's name"),
        ({"kind": "header", "name": "authorization"}, "carries secrets"),
        ({"kind": "cookie", "name": "x"}, "kind"),
    ],
)
def test_a_key_that_no_request_has_is_refused(
    tmp_path: Path, registry_root: Path, publish_version: Publish, key: dict[str, str], says: str
) -> None:
    """The source must be a header's name, or an input or column of every version in the split."""

    async def scene(room: ControlRoom) -> None:
        body = {**HALVES, "assignment": {"key": key}}
        refused = await room.ask("PUT", f"{MODEL}/traffic", body, **ANY)
        assert refused.status_code == 400
        assert says in refused.json()["error"]

    play_two(tmp_path, publish_version, scene)


def test_a_model_from_before_there_were_two_salts_gets_its_second(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Its first salt stays, and a split by the second one finds it made."""

    async def scene(room: ControlRoom) -> None:
        room.loop.submit(
            "m", "test", lambda it: replace(it.model, split=replace(it.model.split, variant_salt=""))
        )
        salt = room.model().split.salt
        await room.ask("PUT", f"{MODEL}/traffic", {**HALVES, "assignment": VARIANT}, **ANY)
        split: TrafficSplit = room.model().split
        assert (split.salt, len(split.variant_salt)) == (salt, 32)
        assert sum(arm.weight_ppm for arm in split.arms) == TOTAL_PPM

    play_two(tmp_path, publish_version, scene)
