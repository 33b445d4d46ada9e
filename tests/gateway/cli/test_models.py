"""`driftgate models` against a real admin API: what it prints, and its exit codes."""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from typer.testing import Result

from driftgate.models.publish.onnx_file import Published

from harness.command_line import driftgate, served
from harness.control_room import ControlRoom, control_room

Publish = Callable[..., Published]
Call = Callable[..., Coroutine[Any, Any, Result]]


def play(root: Path, publish: Publish, scene: Callable[[ControlRoom, Call], Awaitable[None]]) -> None:
    """Serve version 1 of `m`, hold version 2, and let `scene` call the command."""

    async def run() -> None:
        async with control_room(root, workers=1) as room, served(room.app) as url:
            await room.hold_two(publish)

            async def call(*words: str) -> Result:
                work = asyncio.to_thread(driftgate, "models", *words, DRIFTGATE_SERVER=url)
                return await room.following(work, f"models {' '.join(words)}")

            await scene(room, call)

    asyncio.run(run())


def test_models_are_listed_and_shown(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """A person gets a table, a program gets the API's JSON."""

    async def scene(room: ControlRoom, call: Call) -> None:
        listed = await call()
        assert listed.exit_code == 0
        assert "1: 100 %" in listed.output
        shown = await call("show", "m")
        assert "READY" in shown.output
        assert json.loads((await call("--json")).output)["models"][0]["name"] == "m"
        assert json.loads((await call("show", "m", "--json")).output)["labels"] == {"stable": 1, "latest": 2}

    play(tmp_path, publish_version, scene)


def test_problems_are_shown_with_a_model(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """What is wrong with a model's settings is below its table."""

    async def scene(room: ControlRoom, call: Call) -> None:
        (registry_root / "m" / "model.toml").write_text('[log]\ndrop = ["emial"]\n')
        await room.until(lambda: room.model().settings.log.drop, "the settings")
        shown = await call("show", "m")
        assert "! m: model.toml, [log]: 'emial' is to be hidden" in shown.output

    play(tmp_path, publish_version, scene)


def test_versions_are_promoted_and_pinned(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Each verb says what the traffic is now; with --dry-run nothing moves."""

    async def scene(room: ControlRoom, call: Call) -> None:
        tried = await call("promote", "m", "2", "--dry-run")
        assert "dry run, nothing was changed: promote m to version 2" in tried.output
        assert room.model().split.stable == 1
        assert "2: 100 %" in (await call("promote", "m", "2")).output
        assert "pinned to 2" in (await call("pin", "m")).output
        assert (await call("promote", "m", "1")).exit_code == 4
        assert (await call("unpin", "m")).exit_code == 0
        assert room.model().pinned is None

    play(tmp_path, publish_version, scene)


def test_a_model_is_unloaded_and_loaded_again(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """With traffic it needs --force; meanwhile a rollback says what to do, and `load` brings it all back."""

    async def scene(room: ControlRoom, call: Call) -> None:
        assert (await call("unload", "m")).exit_code == 4
        assert "no traffic" in (await call("unload", "m", "--force")).output
        assert room.model().unloaded
        loaded = await call("load", "m")
        assert (loaded.exit_code, "1: 100 %" in loaded.output) == (0, True), loaded.output

    play(tmp_path, publish_version, scene)


WRONG = [
    (("show", "nope"), 3, "there is no model 'nope'"),
    (("show", "../state"), 2, "cannot name a model"),
    (("promote", "m", "9"), 3, "no version 9"),
    (("promote", "m", "0"), 2, "VERSION"),
    (("wait", "m@9", "--ready", "--timeout", "0.2"), 3, "no such version"),
    (("wait", "m@x"), 2, "not a version"),
    (("show", "m", "--server", "http://127.0.0.1:1"), 5, "nothing answers at"),
    (("show", "m", "--server", "http://"), 5, "nothing answers at"),
    (("show", "m", "--context", "rubbish"), 2, "neither a URL"),
]


def test_exit_codes_mean_something(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """2 is wrong usage, 3 not found, 4 a conflict, 5 nobody there, 6 not in time."""

    async def scene(room: ControlRoom, call: Call) -> None:
        for words, code, says in WRONG:
            result = await call(*words)
            assert result.exit_code == code, (words, result.output)
            assert says in result.output, words

    play(tmp_path, publish_version, scene)


def test_waiting_ends_when_a_version_cannot_be_loaded(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A pipeline is told soon, with the reason and a code of its own, that waiting is no use."""

    async def scene(room: ControlRoom, call: Call) -> None:
        (registry_root / "m" / "9").mkdir()
        (registry_root / "m" / "9" / "manifest.json").write_text("{}")
        result = await call("wait", "m@9", "--ready", "--timeout", "60")
        assert (result.exit_code, "manifest.json" in result.output) == (1, True)

    play(tmp_path, publish_version, scene)


def test_a_change_that_waits_too_long(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """When workers are not ready in time the exit code is 6 and nothing has moved."""

    async def scene(room: ControlRoom, call: Call) -> None:
        room.workers[0].cannot_load = {2}
        await room.until(lambda: "UNAVAILABLE" in str(room.loop.facts().slots), "the worker lost version 2")
        result = await call("promote", "m", "2", "--timeout", "0.2")
        assert (result.exit_code, room.model().split.stable) == (6, 1)

    play(tmp_path, publish_version, scene)


def test_waiting_ends_when_the_version_is_ready(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """`wait` returns as soon as every worker can answer with the version."""

    async def scene(room: ControlRoom, call: Call) -> None:
        room.workers[0].cannot_load = {2}
        await room.until(lambda: "UNAVAILABLE" in str(room.loop.facts().slots), "the worker lost version 2")
        waiting = asyncio.create_task(call("wait", "m@2", "--json"))
        room.workers[0].cannot_load = set()
        assert json.loads((await waiting).output)["state"] == "READY"
        assert "m@1 is ready" in (await call("wait", "m")).output

    play(tmp_path, publish_version, scene)


def test_an_example_can_be_pasted(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The curl call is one command whose body has the rows; the Python program compiles."""

    async def scene(room: ControlRoom, call: Call) -> None:
        words = shlex.split((await call("example", "m")).output)
        assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/v2/models/m/predict"]
        rows = json.loads(words[-1])["rows"]
        assert set(rows[0]) == {"f0", "f1", "f2", "f3"}
        program = (await call("example", "m", "--as", "python")).output
        compile(program, "example", "exec")
        assert json.loads((await call("example", "m", "--json")).output)["rows"] == rows

    play(tmp_path, publish_version, scene)
