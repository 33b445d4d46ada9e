"""`driftgate token`: with the admin API, and on a state directory without one."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from driftgate.gateway.access.refusals import RefusalReport, Subject
from driftgate.gateway.access.token_store import TokenWatch
from driftgate.gateway.admin.access import AdminAccess
from driftgate.gateway.admin.api import AdminApi, admin_app
from driftgate.gateway.admin.tokens import TokenApi, token_routes
from driftgate.gateway.logs import Logger
from driftgate.models.registry.cache import VersionCache

from harness.command_line import driftgate, served
from harness.control_room import ControlRoom, control_room

Call = Callable[..., Coroutine[Any, Any, Result]]


def play(root: Path, scene: Callable[[ControlRoom, Call], Awaitable[None]], guarded: bool = False) -> None:
    """Serve an admin API that knows tokens, and let `scene` call the command."""

    async def run() -> None:
        async with control_room(root) as room:
            logger = Logger("control", stream=BytesIO())
            access = AdminAccess(TokenWatch(room.layout.tokens, logger) if guarded else None)
            api = AdminApi(room.loop, VersionCache(room.layout.cache), logger, "http://127.0.0.1:1")
            routes = token_routes(TokenApi(room.layout, logger))
            async with served(admin_app(api, access, routes)) as url:

                async def call(*words: str, token: str = "") -> Result:
                    environment = {"DRIFTGATE_SERVER": url, "DRIFTGATE_TOKEN": token}
                    return await asyncio.to_thread(driftgate, "token", *words, **environment)

                await scene(room, call)

    asyncio.run(run())


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    """Standard output is the token alone; the list shows it without its secret until it is revoked."""

    async def scene(room: ControlRoom, call: Call) -> None:
        made = await call("create", "risk", "--scope", "infer:fraud*", "--scope", "read:*", "--rate", "20")
        secret = made.stdout.strip()
        assert (made.exit_code, secret[:3]) == (0, "dg_")
        token_id = secret.split("_")[1]
        shown = (await call("list")).stdout
        assert all(text in shown for text in (token_id, "risk", "infer:fraud*, read:*", "20, 20 at once"))
        assert secret.split("_")[2] not in shown
        assert (await call("revoke", token_id)).exit_code == 0
        assert token_id not in (await call("list")).stdout
        listed = json.loads((await call("list", "--all", "--json")).stdout)
        assert listed["tokens"][0]["revoked_by"] == "admin-api@127.0.0.1"

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("create", "risk", "--scope", "fly:*"), 1, "is no scope"),
        (("create", "risk", "--scope", "read:*", "--burst", "2"), 1, "a burst needs a rate"),
        (("create", "risk", "--scope", "read:*", "--rate", "-1"), 1, "a rate is a number"),
        (("create", "risk", "--scope", "read:*", "--rate", "nan"), 1, "a rate is a number"),
        (("revoke", "aaaaaaaa"), 3, "there is no token 'aaaaaaaa'"),
        (("revoke", "../models"), 1, "dot segment"),
        (("create", "risk"), 2, "scope"),
    ],
)
def test_a_refusal_says_why(tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    """Exit codes and texts are those of the admin API."""

    async def scene(room: ControlRoom, call: Call) -> None:
        result = await call(*words)
        assert (result.exit_code, message in result.stderr) == (code, True), result.output

    play(tmp_path, scene)


def test_the_first_token_needs_no_server(tmp_path: Path) -> None:
    """Where the admin API asks for a token already, the first one is made on the state directory."""

    async def scene(room: ControlRoom, call: Call) -> None:
        refused = await call("list")
        assert (refused.exit_code, "this needs a token" in refused.stderr) == (7, True)
        state = str(room.layout.root)
        first = (await call("create", "boss", "--scope", "admin", "--state", state)).stdout.strip()
        made = await call("create", "risk", "--scope", "infer:*", "--json", token=first)
        second = json.loads(made.stdout)
        assert first.split("_")[1] in second["token"]["created_by"]
        assert (await call("list", token=second["secret"])).exit_code == 7
        garbled = first.replace("_", "\n")
        assert (await call("list", token=garbled)).exit_code == 7
        assert (await call("revoke", second["token"]["id"], "--state", state)).exit_code == 0
        assert second["token"]["id"] not in (await call("list", "--state", state)).stdout

    play(tmp_path, scene, guarded=True)


def test_the_report_names_callers(tmp_path: Path) -> None:
    """Who would be refused is one line each, in words."""

    async def scene(room: ControlRoom, call: Call) -> None:
        assert "Nobody would have been refused" in (await call("report")).stdout
        room.layout.slot(0).mkdir(parents=True)
        report = RefusalReport(room.layout.refusals(0), lambda: 0.0)
        report.note(Subject("10.0.0.1", "", "infer:m or admin", "no_token"))
        report.write()
        shown = (await call("report")).stdout
        assert all(text in shown for text in ("10.0.0.1", "infer:m or admin", "no token", "1970-01-01"))
        assert json.loads((await call("report", "--json")).stdout)["refusals"][0]["count"] == 1

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("words", "message"),
    [(("create", "x", "--scope", "fly:*"), "is no scope"), (("revoke", "x"), "there is no token 'x'")],
)
def test_on_a_state_directory_a_refusal_says_why_too(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """Without a server in between, what cannot be is said in the same words."""
    result = driftgate("token", *words, "--state", tmp_path)
    assert (result.exit_code, message in result.stderr) == (1, True), result.output
