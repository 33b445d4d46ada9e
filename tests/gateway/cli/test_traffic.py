"""`driftgate traffic` and `driftgate rollback` against a real admin API: what they print, and exit codes."""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from typer.testing import Result

from driftgate.gateway.control.changes import clear_traffic
from driftgate.models.publish.onnx_file import Published

from harness.command_line import driftgate, served
from harness.control_room import ControlRoom, control_room

Publish = Callable[..., Published]
Call = Callable[..., Coroutine[Any, Any, Result]]


def play(root: Path, publish: Publish, scene: Callable[[ControlRoom, Call], Awaitable[None]]) -> None:
    """Serve version 1 of `m`, hold version 2, and let `scene` call `driftgate` with the context `here`."""

    async def run() -> None:
        async with control_room(root, workers=1) as room, served(room.app) as url:
            await room.hold_two(publish)
            write_context(root, url)

            async def call(line: str) -> Result:
                return await room.following(asyncio.to_thread(invoke, root, line), line)

            await scene(room, call)

    asyncio.run(run())


def write_context(root: Path, url: str) -> None:
    """Name a gateway in the user's configuration."""
    (root / "driftgate").mkdir()
    (root / "driftgate" / "contexts.toml").write_text(f'[here]\nserver = "{url}"\n')


def invoke(root: Path, line: str) -> Result:
    """Run a command line in this process, as a shell would."""
    return driftgate(*shlex.split(line), DRIFTGATE_SERVER="here", XDG_CONFIG_HOME=str(root))


def test_a_canary_is_started_raised_and_ended(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Each step says beforehand and afterwards how many keys change version."""

    async def scene(room: ControlRoom, call: Call) -> None:
        tried = await call("traffic set m 1=95 2=5 --dry-run")
        assert "dry run, nothing was changed: traffic of m to 1: 95 %, 2: 5 %" in tried.output
        assert "keys that change version: 5 % (version 1 -5 %, version 2 +5 %)" in tried.output
        assert len(room.model().split.arms) == 1
        done = await call("traffic set m 1=95 2=5")
        assert "m: 1: 95 %, 2: 5 %" in done.output
        assert "keys that change version: 5 %" in done.output
        shown = await call("traffic show m")
        assert "canary  2        5 %" in shown.output
        assert "key: header x-routing-key; salt: rollout" in shown.output
        assert json.loads((await call("traffic show m --json")).output)["labels"]["canary"] == 2
        assert "20 %" in (await call("traffic set m 1=75 2=25")).output
        assert "1: 100 %" in (await call("traffic clear m")).output

    play(tmp_path, publish_version, scene)


def test_a_rollback_says_how_to_undo_it(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """The commands that it prints bring back the split that was there."""

    async def scene(room: ControlRoom, call: Call) -> None:
        await call("traffic set m 1=90 2=10")
        before = room.model().split
        assert "nothing was changed: roll m back to version 1" in (await call("rollback m --dry-run")).output
        assert room.model().split == before
        output = (await call("rollback m")).output
        assert "m: 1: 100 %" in output
        assert "pinned to 1" in output
        undo = output.partition("to undo: ")[2].strip()
        assert undo == "driftgate models unpin m && driftgate traffic set m 1=90 2=10"
        for command in undo.split(" && "):
            assert (await call(command.removeprefix("driftgate "))).exit_code == 0
        assert {arm.version: arm.weight_ppm for arm in room.model().split.arms} == {1: 900_000, 2: 100_000}
        await call("models promote m 2")
        await call("models pin m")
        undo = (await call("rollback m")).output.partition("to undo: ")[2].strip()
        assert undo.endswith("driftgate models promote m 2 && driftgate models pin m")

    play(tmp_path, publish_version, scene)


def test_copies_can_be_tried_beforehand(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A dry run of `shadow` and `unshadow` says what would change and changes nothing."""

    async def scene(room: ControlRoom, call: Call) -> None:
        tried = await call("traffic shadow m 2 --share 10% --dry-run")
        assert "nothing was changed: copy 10 % of the calls of m to version 2" in tried.output
        assert room.model().shadows == ()
        assert "copies to 2: 10 %" in (await call("traffic shadow m 2 --share 10%")).output
        assert "nothing was changed" in (await call("traffic unshadow m 2 --dry-run")).output
        assert [shadow.version for shadow in room.model().shadows] == [2]

    play(tmp_path, publish_version, scene)


def test_a_key_is_explained(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """Bucket, arm and reason, now and at an earlier generation."""

    async def scene(room: ControlRoom, call: Call) -> None:
        whole = room.loop.desired.generation
        await call("traffic set m 1=50 2=50 --key input:f0 --salt variant")
        found = json.loads((await call("traffic assignment m --key 41 --json")).output)
        assert found["assignment"] == {"key": {"kind": "input", "name": "f0"}, "salt": "variant"}
        text = (await call(f"traffic assignment m --key 41 --at {whole}")).output
        assert f"41: version 1 in generation {whole}, since as a key from header x-routing-key" in text

    play(tmp_path, publish_version, scene)


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """A split is set by who has seen the one before; that other things happened meanwhile does not matter."""

    async def scene(room: ControlRoom, call: Call) -> None:
        await call("traffic set m 1=90 2=10")
        setting = asyncio.create_task(call("traffic set m 1=80 2=20"))
        while not setting.done():
            room.loop.submit("m", "somebody", lambda it: it.model)
            await asyncio.sleep(0)
        assert (await setting).exit_code == 0
        room.loop.submit("m", "somebody", clear_traffic)

    play(tmp_path, publish_version, scene)


WRONG = [
    ("traffic set m 1=90 2=9", 2, "these sum to 99"),
    ("traffic set m 1=nan 2=9", 2, "'1=nan': the percentage is not a finite number"),
    ("traffic assignment m --key k --at 999", 3, "there is no generation 999"),
    ("traffic set m 1=60 1=40", 2, "twice"),
    ("traffic set m one=100", 2, "VERSION=PERCENT"),
    ("traffic set m 1=110 2=-10", 1, "negative"),
    ("traffic set m 1=90 9=10", 3, "no version 9"),
    ("traffic set m 1=100 --key cookie:a", 2, "header:NAME"),
    ("traffic set m 1=100 --key header", 2, "header:NAME"),
    ("traffic set m 1=100 --key input:nope", 1, "no column 'nope'"),
    ("traffic set m 1=100 --salt pepper", 2, "neither rollout nor variant"),
    ("traffic set nope 1=100", 3, "no model 'nope'"),
    ("traffic show a/b", 2, "'a/b' cannot name a model"),
    ("models wait ../m@1", 2, "cannot name a model"),
    ("traffic show m --context there", 2, "neither a URL"),
    ("rollback m", 4, "no earlier version"),
    ("rollback m --server http://127.0.0.1:1", 5, "nothing answers at"),
]


def test_exit_codes_mean_something(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """1 is refused, 2 wrong usage, 3 not found, 4 a conflict, 5 nobody there; nothing has changed."""

    async def scene(room: ControlRoom, call: Call) -> None:
        before = room.loop.desired
        for line, code, says in WRONG:
            result = await call(line)
            assert (result.exit_code, says in result.output) == (code, True), (line, result.output)
        assert room.loop.desired == before

    play(tmp_path, publish_version, scene)


def test_another_port_is_no_missing_model(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """Where the call itself is unknown, the text says that this is no admin API, and the code is not 3."""

    async def scene(room: ControlRoom, call: Call) -> None:
        write = (tmp_path / "driftgate" / "contexts.toml").read_text()
        (tmp_path / "driftgate" / "contexts.toml").write_text(write.replace('"\n', '/elsewhere"\n'))
        result = await call("traffic show m")
        assert (result.exit_code, "is no admin API of this version" in result.output) == (1, True)

    play(tmp_path, publish_version, scene)
