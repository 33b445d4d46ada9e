"""What tokens open and what they limit, as the settings say: on a loopback and on other addresses."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from driftgate.gateway.access.tokens import Quota

from harness.gateway import Gateway, until
from harness.models import linear_model, publish_model
from harness.tokens import bearer, make_token

Start = Callable[..., Gateway]

ROWS = [[1.0, 2.0, 3.0, 4.0]]
ALL = {"DRIFTGATE__AUTH__MODE": "all"}


def test_a_quota_holds_over_all_workers(tmp_path: Path, start_gateway: Start) -> None:
    """Two workers together let in rate x time + burst of one token, and say when to come back."""
    publish_model(linear_model(2.0), tmp_path / "registry")
    mine = bearer(make_token(tmp_path, "infer:*", quota=Quota(50.0, 10)))
    other = bearer(make_token(tmp_path, "infer:*"))
    gateway = start_gateway(workers=2, environment=ALL)
    asked_s = 3.0
    deadline = time.monotonic() + asked_s

    def ask(_: int) -> list[httpx.Response]:
        answers = []
        with httpx.Client(headers=mine, base_url=gateway.ports.data) as client:
            tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROWS}
            while time.monotonic() < deadline:
                answers.append(client.post("/v2/models/m/infer", json={"inputs": [tensor]}))
        return answers

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for part in pool.map(ask, range(4)) for answer in part]
    let_in = sum(answer.status_code == 200 for answer in answers)
    took_s = asked_s + time.monotonic() - deadline
    assert 0.4 * 50 * asked_s <= let_in <= 1.05 * (50 * took_s + 10)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert {answer.headers["x-shed-reason"] for answer in refused} == {"quota"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert gateway.infer("m", ROWS, **other).status_code == 200


def test_reporting_refuses_nobody_and_names_everybody(tmp_path: Path, start_gateway: Start) -> None:
    """With `report_only` all are answered, and the report tells who would not have been."""
    publish_model(linear_model(2.0), tmp_path / "registry")
    wrong = bearer(make_token(tmp_path, "infer:other"))
    good = bearer(make_token(tmp_path, "infer:m", "admin"))
    gateway = start_gateway(environment={**ALL, "DRIFTGATE__AUTH__REPORT_ONLY": "true"})
    for headers in ({}, {}, wrong, good):
        assert gateway.infer("m", ROWS, **headers).status_code == 200
    assert gateway.client.get(f"{gateway.ports.data}/v2/models").status_code == 200
    assert gateway.admin("GET", "/api/state").status_code == 401

    def rows() -> dict[tuple[str, str], int]:
        answer = gateway.client.get(f"{gateway.ports.admin}/api/refusals", headers=good).json()
        return {(row["reason"], row["scope"]): row["count"] for row in answer["refusals"]}

    until(lambda: len(rows()) == 3, 5.0, "the report is written")
    needed = "infer:m or admin"
    assert rows() == {
        ("no_token", needed): 2,
        ("missing_scope", needed): 1,
        ("no_token", "read:* or admin"): 1,
    }
    metrics = gateway.client.get(f"{gateway.ports.metrics}/metrics").text
    assert 'driftgate_auth_would_refuse_total{reason="no_token"} 3.0' in metrics


def test_the_admin_api_opens_to_others_with_a_token_only(tmp_path: Path, start_gateway: Start) -> None:
    """A public admin address is refused before there is a token, and asks for one afterwards."""
    serve = [sys.executable, "-m", "driftgate.gateway.cli.main", "serve", "--admin-host", "0.0.0.0"]  # noqa: S104
    refused = subprocess.run(serve, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert "driftgate token create --state state" in refused.stderr

    publish_model(linear_model(2.0), tmp_path / "registry")
    admin = bearer(make_token(tmp_path, "admin"))
    gateway = start_gateway("--admin-host", "0.0.0.0")  # noqa: S104
    url = f"{gateway.ports.admin}/api/models"
    assert gateway.client.get(url).status_code == 401
    assert gateway.client.get(url, headers={**admin, "host": "gateway.example"}).status_code == 200
    assert gateway.infer("m", ROWS).status_code == 200


def test_on_a_network_operators_need_a_token_by_default(tmp_path: Path, start_gateway: Start) -> None:
    """With a public data port predictions are open, the admin API is not, and the log says how to go on."""
    publish_model(linear_model(2.0), tmp_path / "registry")
    gateway = start_gateway("--host", "0.0.0.0")  # noqa: S104
    assert gateway.infer("m", ROWS).status_code == 200
    assert gateway.infer("m", ROWS, **{"x-variant": "stable"}).status_code == 401
    assert gateway.admin("GET", "/api/state").status_code == 401
    assert "driftgate token create --scope admin" in gateway.log.read_text()
    boss = bearer(make_token(tmp_path, "admin"))
    answer = gateway.client.get(f"{gateway.ports.admin}/api/state", headers=boss)
    assert answer.status_code == 200


def test_without_tokens_nothing_changes_on_loopback(tmp_path: Path, start_gateway: Start) -> None:
    """Making a token never changes who else is let in: on loopback that is still everybody."""
    publish_model(linear_model(2.0), tmp_path / "registry")
    gateway = start_gateway()
    made = gateway.admin("POST", "/api/tokens", {"name": "x", "scopes": ["admin"]})
    assert json.loads(made.content)["secret"].startswith("dg_")
    assert gateway.admin("GET", "/api/state").status_code == 200
    assert gateway.infer("m", ROWS).status_code == 200
