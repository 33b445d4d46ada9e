"""Feature views of a real gateway: declared, loaded, pushed, shown, rolled back, exported."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness.command_line import driftgate
from harness.gateway import READY_WITHIN_S, Gateway, running, until

VIEW = """
description = "What is known of a user"
owner = "growth"
ttl_s = 1e9

[[join_keys]]
name = "user"

[[join_keys]]
name = "shop"
dtype = "int64"

[[features]]
name = "spend"
dtype = "float32"
unit = "EUR"
description = "Spent in 30 days"

[[features]]
name = "city"
dtype = "string"
"""
OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that declares the view `users`, to which rows can be pushed."""
    root = tmp_path_factory.mktemp("filling")
    (root / "registry").mkdir()
    with running(root, workers=2) as started:
        (root / "users.toml").write_text(VIEW)
        assert run(started, "declare", str(root / "users.toml"))[0] == 0
        first = row("first", OLD, 1.0)
        until(lambda: push(started, first).status_code == 200, READY_WITHIN_S, "pushes are taken")
        yield started


def run(gateway: Gateway, *words: str, stdin: str = "") -> tuple[int, str, str]:
    """Run a command of `driftgate features` for the gateway; return exit code, output, errors."""
    environment = {
        "DRIFTGATE_SERVER": gateway.ports.admin,
        "DRIFTGATE_URL": gateway.ports.data,
        "DRIFTGATE__SERVER__STATE": str(gateway.root / "state"),
        "DRIFTGATE__SERVER__REGISTRY": str(gateway.root / "registry"),
    }
    done = driftgate("features", *words, stdin=stdin, **environment)
    return done.exit_code, done.stdout, done.stderr


def shown(gateway: Gateway, *words: str) -> Any:
    """Return what a command prints as JSON."""
    code, out, errors = run(gateway, *words, "--json")
    assert code == 0, errors
    return json.loads(out)


def row(user: str, event_time: str, spend: float | None, shop: int = 1) -> dict[str, Any]:
    """Return a row of the view."""
    return {"user": user, "shop": shop, "event_time": event_time, "spend": spend, "city": "Lyon"}


def push(gateway: Gateway, *rows: dict[str, Any], view: str = "users") -> httpx.Response:
    """Push rows over HTTP."""
    return gateway.client.post(f"{gateway.ports.data}/v1/features/{view}", json={"rows": rows})


def spend_of(gateway: Gateway, user: str) -> tuple[Any, str]:
    """Return value and status of a feature as `get` shows them."""
    found = shown(gateway, "get", "users", user, "1")["features"][0]
    return found["value"], found["status"]


def test_a_push_is_idempotent_and_older_rows_lose(gateway: Gateway) -> None:
    """The same push again changes nothing, an older row never replaces a newer one, null is kept."""
    assert push(gateway, row("ada", NEW, 2.0)).json() == {
        "view": "users",
        "written": 1,
        "older": 0,
        "same": 0,
    }
    assert push(gateway, row("ada", NEW, 3.0)).json()["same"] == 1
    assert push(gateway, row("ada", OLD, 1.0)).json()["older"] == 1
    assert spend_of(gateway, "ada") == (2.0, "FRESH")
    assert push(gateway, row("nul", NEW, None)).json()["written"] == 1
    assert spend_of(gateway, "nul") == (None, "NULL")
    assert spend_of(gateway, "nobody") == (None, "MISSING")


@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        (b'{"rows": []}', 400, "no rows"),
        (b'{"rows": [{"user": "a"}]}', 400, "row 0: 'city' is missing"),
        (b"[" * 100_000, 400, "the body must be JSON"),
        (b'{"rows": [' + b'{"user": "\\r\\nGET x"},' * 3 + b"{}]}", 400, "row 0"),
        (b'"' + b"x" * 2**20 + b'"', 413, "more than 1048576 bytes"),
    ],
)
def test_a_bad_push_is_refused(gateway: Gateway, content: bytes, status: int, text: str) -> None:
    """What is no push gets 400 or 413 that says why, and the worker lives on."""
    answer = gateway.client.post(f"{gateway.ports.data}/v1/features/users", content=content)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True), answer.text
    assert gateway.client.get(f"{gateway.ports.data}/v2/health/live").status_code == 200


def test_an_unknown_view_is_not_found(gateway: Gateway) -> None:
    """A push to a view that nobody declared is 404, on both ports; `get` ends with 3."""
    assert push(gateway, row("a", OLD, 1.0), view="nope").status_code == 404
    assert gateway.admin("GET", "/api/features/nope").status_code == 404
    assert run(gateway, "get", "nope", "a")[0] == 3


def test_keys_of_the_wrong_type_are_refused(gateway: Gateway) -> None:
    """A key that is no number, too long, or of another number of parts is 400."""
    assert "join key 'shop': a whole number is needed" in run(gateway, "get", "users", "ada", "x")[2]
    assert "a key has 2 values" in run(gateway, "get", "users", "ada")[2]
    assert "1 to 500 bytes" in run(gateway, "get", "users", "a" * 600, "1")[2]


def test_push_from_standard_input(gateway: Gateway) -> None:
    """`push` takes JSON lines, tells what became of them, and names the line that stops it."""
    lines = "".join(json.dumps(row(f"line-{number}", OLD, number)) + "\n" for number in range(1200))
    code, out, _ = run(gateway, "push", "users", "--json", stdin=lines)
    assert (code, json.loads(out)) == (0, {"rows": 1200, "written": 1200, "older": 0, "same": 0})
    code, _, errors = run(gateway, "push", "users", stdin=json.dumps(row("x", OLD, 1.0)) + "\n{oops\n")
    assert (code, "line 2 is no JSON object" in errors) == (1, True)


def test_a_view_is_declared_only_if_it_is_sound(gateway: Gateway) -> None:
    """Errors name file and line; a change that stored rows do not survive needs force; a dry run is none."""
    path = gateway.root / "broken.toml"
    path.write_text(VIEW.replace('dtype = "float32"', 'dtype = "float"'))
    code, _, errors = run(gateway, "declare", str(path))
    assert (code, "broken.toml, line 15" in errors) == (1, True), errors
    other = gateway.root / "other.toml"
    other.write_text(VIEW)
    assert shown(gateway, "declare", str(other), "--dry-run")[0]["outcome"] == "new"
    assert gateway.admin("GET", "/api/features/other").status_code == 404
    assert shown(gateway, "declare", str(gateway.root / "users.toml"))[0]["outcome"] == "same"
    changed = gateway.root / "changed" / "users.toml"
    changed.parent.mkdir()
    changed.write_text(VIEW.replace("float32", "float64"))
    assert run(gateway, "declare", str(changed))[0] == 4
    assert shown(gateway, "declare", str(changed), "--force", "--dry-run")[0]["outcome"] == "changed"


def test_load_swap_rollback_and_export(gateway: Gateway) -> None:
    """Snapshots are swapped while requests run, none of which fails; rollback goes back; pushes stay."""
    failed: list[int] = []
    stopping = threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            while not stopping.is_set():
                url = f"{gateway.ports.admin}/api/features/users/entity"
                answer = client.get(url, params={"key": '["swap","1"]'})
                pushed = client.post(
                    f"{gateway.ports.data}/v1/features/users", json={"rows": [row("busy", OLD, 1.0)]}
                )
                failed.extend(one.status_code for one in (answer, pushed) if one.status_code != 200)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in (1, 2):
            frame = pd.DataFrame([row("swap", NEW, float(number)), row("", NEW, 1.0)])
            frame.to_csv(gateway.root / "rows.csv", index=False)
            report = shown(gateway, "load", "users", str(gateway.root / "rows.csv"))
            assert (report["snapshot"], report["entities"], report["counts"]["rejected"]) == (number, 1, 1)
            until(
                lambda wanted=float(number): spend_of(gateway, "swap")[0] == wanted,  # type: ignore[misc] # bound now
                5,
                "the new snapshot is read",
            )
    finally:
        stopping.set()
        asking.join()
    assert failed == []
    assert (gateway.root / "rows.csv.rejected.csv").read_text().startswith("row,reason\n2,")
    assert shown(gateway, "rollback", "users")["number"] == 1
    assert spend_of(gateway, "swap") == (1.0, "FRESH")
    assert shown(gateway, "rollback", "users", "2")["number"] == 2
    assert run(gateway, "rollback", "users", "9")[0] == 3
    assert spend_of(gateway, "ada") == (2.0, "FRESH")
    assert shown(gateway, "export", "users", str(gateway.root / "out.parquet"))["entities"] > 1
    for place in ("nowhere/out.parquet", "out.csv"):
        assert "name a .parquet file" in run(gateway, "export", "users", str(gateway.root / place))[2]
    exported = pq.read_table(gateway.root / "out.parquet").to_pylist()
    assert {"swap": 2.0, "ada": 2.0}.items() <= {it["user"]: it["spend"] for it in exported}.items()


def test_views_and_catalogue(gateway: Gateway) -> None:
    """`ls` shows what is stored, `catalogue` what features mean; both as JSON too."""
    (report,) = shown(gateway, "ls")["views"]
    assert (report["view"]["name"], report["view"]["owner"], report["problem"]) == ("users", "growth", "")
    assert report["size_bytes"] > 0
    assert report["pushed"] > 1200
    text = run(gateway, "catalogue")[1]
    assert "Spent in 30 days" in text
    assert "EUR" in text
    assert "No request has sent a feature" in run(gateway, "skew", "users")[1]


def test_compacting_takes_pushes_into_a_snapshot(gateway: Gateway) -> None:
    """`compact` makes a snapshot with every entity, of which workers answer the same as before."""
    code, out, errors = run(gateway, "compact", "users", "--json")
    assert code == 0, errors
    info = json.loads(out)
    assert (info["source"], info["rows"] > 1200) == ("compaction", True)
    assert shown(gateway, "ls")["views"][0]["snapshot"] == info["number"]
    assert spend_of(gateway, "ada") == (2.0, "FRESH")


def test_an_import_from_feast(gateway: Gateway) -> None:
    """Views of a Feast registry become files that can be declared; nothing there is overwritten."""
    registry = Path(__file__).parents[1] / "fixtures" / "feast" / "registry.db"
    out_directory = str(gateway.root / "feast")
    code, out, _ = run(gateway, "import-feast", str(registry), "--out", out_directory, "--json")
    assert (code, json.loads(out)["views"]) == (0, ["driver_hourly_stats", "orders"])
    assert run(gateway, "import-feast", str(registry), "--out", out_directory)[0] == 4
    files = sorted(str(path) for path in (gateway.root / "feast").iterdir())
    assert [one["outcome"] for one in shown(gateway, "declare", *files, "--dry-run")] == ["new", "new"]
