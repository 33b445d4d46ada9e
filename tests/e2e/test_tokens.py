"""Tokens on a real gateway: every route and every scope, on every port."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from driftgate.gateway.access.route_scopes import (
    ADMIN_ROUTES,
    ADMINISTRATOR,
    ANYBODY,
    DATA_ROUTES,
    FILL,
    KNOW,
    OPERATE,
    PREDICT,
    PROBE_ROUTES,
    PUBLISH,
    READ_ALL,
    READ_MODEL,
    READ_SOME,
    READ_SOME_VIEWS,
    READ_VIEW,
    Plane,
    Routes,
)
from driftgate.gateway.access.scopes import Need

from harness.gateway import Gateway, running, took_s
from harness.models import linear_model, publish_model
from harness.raw_http import answers, connected
from harness.tokens import bearer, make_token, store_in

ROWS = [[1.0, 2.0, 3.0, 4.0]]
ALL = {"DRIFTGATE__AUTH__MODE": "all"}
ABSENT = "m-absent"
"""Matched by the scopes for m*, and not there: what is let in does no harm."""

SCOPES = {
    "nothing": None,
    "wrong": None,
    "revoked": ("admin",),
    "admin": ("admin",),
    "infer m*": ("infer:m*",),
    "infer other": ("infer:other",),
    "feedback *": ("feedback:*",),
    "features *": ("features:*",),
    "publish m*": ("publish:m*",),
    "publish other": ("publish:other",),
    "operate m*": ("operate:m*",),
    "operate other": ("operate:other",),
    "read m*": ("read:m*",),
    "read *": ("read:*",),
}
UNKNOWN = {"nothing", "wrong", "revoked"}
READERS = {"admin", "read m*", "read *", "publish m*", "operate m*"}
ADMITTED: dict[Need, set[str]] = {
    ANYBODY: set(SCOPES),
    ADMINISTRATOR: {"admin"},
    READ_ALL: {"admin", "read *"},
    READ_SOME: {*READERS, "publish other", "operate other"},
    READ_MODEL: READERS,
    KNOW: {*READERS, "infer m*"},
    PREDICT: {"admin", "infer m*"},
    OPERATE: {"admin", "operate m*"},
    PUBLISH: {"admin", "publish m*"},
    READ_VIEW: {*READERS, "features *"},
    READ_SOME_VIEWS: {*READERS, "publish other", "operate other", "features *"},
    FILL: {"admin", "features *"},
}
PLANES: tuple[tuple[Plane, Routes], ...] = (
    ("admin", ADMIN_ROUTES),
    ("data", DATA_ROUTES),
    ("probes", PROBE_ROUTES),
)
CELLS: list[tuple[Plane, str, str, Need]] = [
    (plane, method, path, need) for plane, routes in PLANES for (method, path), need in routes.items()
]


@dataclass
class Locked:
    """A gateway where everybody needs a token, and the tokens: by what they are good for."""

    gateway: Gateway
    tokens: dict[str, str]

    def ask(self, plane: Plane, method: str, path: str, who: str) -> httpx.Response:
        """Call a route as the holder of a token."""
        ports = self.gateway.ports
        base = {"admin": ports.admin, "data": ports.data, "probes": ports.metrics}[plane]
        for name, value in PARAMETERS.items():
            path = path.replace(f"{{{name}}}", value)
        return self.gateway.client.request(method, f"{base}{path}?wait=0", headers=self.bearer(who))

    def bearer(self, who: str) -> dict[str, str]:
        """Return the header with a token; nothing for who has none."""
        return bearer(self.tokens[who]) if who != "nothing" else {}


PARAMETERS = {
    "model": ABSENT,
    "view": ABSENT,
    "alert": "0",
    "silence": "0",
    "version": "1",
    "verb:path": "load",
    "token": "aaaaaaaa",
    "upload": "0" * 32,
    "number": "0",
    "build": "0",
    "file": "app.js",
}


@pytest.fixture(scope="module", name="locked")
def locked_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """One gateway in mode `all`, with model `m` and a token of every kind."""
    root = tmp_path_factory.mktemp("locked")
    publish_model(linear_model(2.0), root / "registry")
    tokens = tokens_in(root)
    with running(root, environment=ALL) as gateway:
        yield Locked(gateway, tokens)


def tokens_in(root: Path) -> dict[str, str]:
    """Make a token for every line of SCOPES, before the gateway starts."""
    tokens = {"wrong": f"dg_{'a' * 8}_{'a' * 52}"}
    for who, scopes in SCOPES.items():
        if scopes is not None:
            tokens[who] = make_token(root, *scopes)
    store_in(root).revoke(tokens["revoked"].split("_")[1], "test")
    return tokens


@pytest.mark.parametrize(("who", "models"), [("read *", ["m"]), ("read m*", ["m"]), ("operate other", [])])
def test_who_may_see_some_models_is_told_of_those(locked: Locked, who: str, models: list[str]) -> None:
    """Lists, the dashboard's first page and the timeline leave out what their reader may not see."""

    def told(path: str) -> dict[str, Any]:
        answer = locked.gateway.client.get(locked.gateway.ports.admin + path, headers=locked.bearer(who))
        return dict(answer.raise_for_status().json())

    for path in ("/api/overview", "/api/models"):
        assert [model["name"] for model in told(path)["models"]] == models
    about = {event.get("model", "") for event in told("/api/events")["events"]}
    assert about - {""} == set(models)
    assert ("" in about) == (who == "read *")
    assert told("/api/alerts")["alerts"] == []


@pytest.mark.parametrize(
    ("plane", "method", "path", "need"), CELLS, ids=[f"{cell[0]} {cell[1]} {cell[2]}" for cell in CELLS]
)
def test_every_route_with_every_scope(
    locked: Locked, plane: Plane, method: str, path: str, need: Need
) -> None:
    """Without a good token 401, without the scope 403, else whatever the route itself answers."""
    for who in SCOPES:
        answer = locked.ask(plane, method, path, who)
        lacking = answer.status_code == 403 and "lacks the scope" in answer.text
        expected = (False, False) if who in ADMITTED[need] else (who in UNKNOWN, who not in UNKNOWN)
        assert (answer.status_code == 401, lacking) == expected, who


@pytest.mark.parametrize("plane", ["admin", "data"])
def test_the_table_lists_what_is_served(locked: Locked, plane: Plane) -> None:
    """Every path in the table is a route: an administrator never gets the answer for an unknown path."""
    for route_plane, method, path, _ in CELLS:
        if route_plane == plane:
            answer = locked.ask(plane, method, path, "admin")
            assert answer.text != '{"error":"Not Found"}', path
            assert answer.status_code != 405, path


@pytest.mark.parametrize("verb", ["infer", "predict"])
def test_predictions_with_every_scope(locked: Locked, verb: str) -> None:
    """A model that is served answers those with its scope, first and again; refusals ask for a token."""
    url = f"{locked.gateway.ports.data}/v2/models/m/{verb}"
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROWS}
    for who in SCOPES:
        for _ in range(2):
            answer = locked.gateway.client.post(url, json={"inputs": [tensor]}, headers=locked.bearer(who))
            if who in ADMITTED[PREDICT]:
                assert answer.status_code == (200 if verb == "infer" else 400), who
            elif who in UNKNOWN:
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), who
            else:
                assert (answer.status_code, "infer:m" in answer.json()["error"]) == (403, True), who


def test_an_arm_is_chosen_by_operators_alone(locked: Locked) -> None:
    """`x-variant` needs operate:<model>, whatever else the token is good for."""
    for who, code in (("infer m*", 403), ("admin", 200)):
        headers = {**locked.bearer(who), "x-variant": "stable"}
        answer = locked.gateway.infer("m", ROWS, **headers)
        assert (answer.status_code == 403) is (code == 403), (who, answer.text)


def test_load_on_the_data_port(locked: Locked) -> None:
    """Whoever operates a model may load it on the data port too; the admin API's answer is passed back."""
    load = "/v2/repository/models/m/load"
    base = locked.gateway.ports.data
    admitted = locked.gateway.client.post(base + load, headers=locked.bearer("operate m*"))
    assert (admitted.status_code, admitted.json()["model"]["name"]) == (200, "m")
    assert admitted.headers["etag"]
    refused = locked.gateway.client.post(base + load, headers=locked.bearer("infer m*"))
    assert refused.status_code == 403


def test_the_first_bytes_of_a_refused_body_are_enough(locked: Locked) -> None:
    """A large body of somebody without a token is refused by its head: nobody waits for its rest."""
    with connected(locked.gateway.ports.data) as client:
        client.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 999999\r\n\r\nx")
        ((status, _),) = answers(client, 1)
    assert status == 401


@pytest.mark.alone
def test_tokens_come_and_go_while_it_runs(locked: Locked) -> None:
    """A token made by the admin API is good, and once revoked good for nothing, within two seconds."""
    gateway, admin = locked.gateway, locked.bearer("admin")
    url = f"{gateway.ports.admin}/api/tokens"
    made = gateway.client.post(url, json={"name": "new", "scopes": ["infer:m"]}, headers=admin).json()
    mine = bearer(made["secret"])
    assert (
        took_s(lambda: gateway.infer("m", ROWS, **mine).status_code == 200, 2.0, "the token is good") <= 2.0
    )
    assert locked.tokens["admin"].split("_")[1] in made["token"]["created_by"]
    gateway.client.delete(f"{url}/{made['token']['id']}", headers=admin).raise_for_status()
    assert took_s(lambda: gateway.infer("m", ROWS, **mine).status_code == 401, 2.0, "it is revoked") <= 2.0
    listed = gateway.client.get(url, headers=admin).text
    assert made["token"]["id"] in listed
    assert "digest" not in listed


def test_a_change_names_its_token(locked: Locked) -> None:
    """The audit trail says whose token a change was made with."""
    gateway = locked.gateway
    holder = locked.tokens["operate m*"].split("_")[1]
    pinned = gateway.client.post(
        f"{gateway.ports.admin}/api/models/m/pin", headers=locked.bearer("operate m*")
    )
    assert pinned.status_code == 200
    state = gateway.client.get(f"{gateway.ports.admin}/api/state", headers=locked.bearer("admin")).json()
    assert holder in state["desired"]["who"]


def test_no_secret_is_anywhere(locked: Locked) -> None:
    """After all of that no secret is in the log, in a page or in a file of the state directory."""
    gateway = locked.gateway
    secrets = [token.rpartition("_")[2].encode() for token in locked.tokens.values()]
    pages = [gateway.log.read_bytes()]
    for path in ("/api/state", "/api/tokens", "/openapi.json"):
        answer = gateway.client.get(f"{gateway.ports.admin}{path}", headers=locked.bearer("admin"))
        pages.append(answer.raise_for_status().content)
    pages += [path.read_bytes() for path in (gateway.root / "state").rglob("*") if path.is_file()]
    assert not any(secret in page for secret in secrets for page in pages)
