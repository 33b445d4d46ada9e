"""`driftgate apply` and `driftgate events` against a real gateway."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.gateway import Gateway, running, until
from harness.models import linear_model, publish_model


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway with model `m`."""
    root = tmp_path_factory.mktemp("apply")
    publish_model(linear_model(2.0), root / "registry")
    with running(root) as started:
        started.wait_version("m", 1)
        yield started


def run(gateway: Gateway, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "driftgate.gateway.cli.main", *words, "--server", gateway.ports.admin],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def tree(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (root / name).mkdir()
        (root / name / "model.toml").write_text(text)
    return root


def events(gateway: Gateway, **query: str) -> list[dict[str, Any]]:
    answer = gateway.client.get(f"{gateway.ports.admin}/api/events", params=query)
    assert answer.status_code == 200
    return list(answer.json()["events"])


def test_settings_are_applied_once_and_audited(gateway: Gateway, tmp_path: Path) -> None:
    """A dry run shows what differs, applying commits it with who and why, then nothing is left to do."""
    wanted = tree(tmp_path, m='owner = "risk"\nmax_rows_per_request = 3\n')
    code, shown, _ = run(gateway, "apply", str(wanted), "--dry-run")
    assert (code, 'owner: "" → "risk"' in shown) == (8, True)
    before = gateway.admin("GET", "/api/state").json()["desired"]["generation"]
    code, shown, problem = run(gateway, "apply", str(wanted), "--why", "risk asked for it")
    assert code == 0, problem
    state = gateway.admin("GET", "/api/state").json()["desired"]
    assert state["generation"] == before + 1
    assert state["models"]["m"]["settings"]["owner"] == "risk"
    assert "risk asked for it" in state["why"]
    assert state["who"] != "control"
    assert (gateway.registry / "m" / "model.toml").read_text() == (wanted / "m" / "model.toml").read_text()
    assert gateway.infer("m", [[1, 1, 1, 1]] * 4).status_code in (200, 400, 413)
    assert run(gateway, "apply", str(wanted), "--dry-run")[:2] == (0, "m: nothing to do\n")
    assert run(gateway, "apply", str(wanted / "m" / "model.toml"))[:2] == (0, "m: nothing to do\n")
    (event,) = [event for event in events(gateway, model="m") if event["kind"] == "settings"]
    assert "risk asked for it" in event["why"]
    assert 'owner: "" → "risk"' in event["why"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('owner = "x"\n\nowners = "y"\n', "line 3"),
        ('promote = "sometimes"\n', "line 1"),
        ("[versions]\nlatest = 0\n", "line 2"),
        ("owner = \n", "line 1"),
        ("# " + "x" * 10 * 2**20, "has more than 1048576 bytes"),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(
    gateway: Gateway, tmp_path: Path, text: str, reason: str
) -> None:
    """A mistake in any file is shown with file and line, and nothing of the whole tree is applied."""
    before = gateway.admin("GET", "/api/state").json()["desired"]["generation"]
    code, shown, problem = run(gateway, "apply", str(tree(tmp_path, m='owner = "never"\n', z=text)))
    assert (code, shown) == (1, "")
    assert reason in problem
    assert "z/model.toml" in problem
    assert gateway.admin("GET", "/api/state").json()["desired"]["generation"] == before


def test_a_model_that_is_not_there_changes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """If one model of a tree is unknown, no other one of it is changed."""
    wanted = tree(tmp_path, m='owner = "never"\n', nobody="")
    code, _, problem = run(gateway, "apply", str(wanted))
    assert (code, "nobody" in problem) == (3, True)
    assert gateway.admin("GET", "/api/models/m/settings").json()["settings"].get("owner") != "never"


def test_a_broken_file_is_put_right(gateway: Gateway, tmp_path: Path) -> None:
    """Where the registry's file is broken, the last good settings in its place are written over it."""
    path = gateway.registry / "m" / "model.toml"
    settings = gateway.admin("GET", "/api/models/m/settings").json()["settings"]
    good = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    path.write_text("owner = 5\n")

    def broken() -> object:
        return gateway.admin("GET", "/api/models/m/settings").json()["broken"]

    until(broken, 5.0, "the broken file is seen")
    code, _, problem = run(gateway, "apply", str(tree(tmp_path, m=good)))
    assert code == 0, problem
    assert path.read_text() == good
    until(lambda: not broken(), 5.0, "the file is good again")
    assert any(event["kind"] == "settings_refused" for event in events(gateway))


def test_settings_need_the_newest_generation(gateway: Gateway) -> None:
    """With an If-Match of another generation nothing is written."""
    answer = gateway.client.put(
        f"{gateway.ports.admin}/api/models/m/settings",
        json={"text": 'owner = "late"'},
        headers={"if-match": '"99999"'},
    )
    assert answer.status_code == 412
    assert "late" not in (gateway.registry / "m" / "model.toml").read_text()


def test_the_timeline_tells_the_life_of_a_gateway(gateway: Gateway) -> None:
    """Found, verified, loaded, traffic and a killed worker appear in order, with who and why."""
    worker = gateway.statuses()[0].pid
    os.kill(worker, signal.SIGKILL)
    until(
        lambda: any(event["kind"] == "process_ended" for event in events(gateway)),
        5.0,
        "the end of the worker is an event",
    )
    found = events(gateway, since="1h")
    kinds = [event["kind"] for event in found]
    for kind in ("gateway_started", "version_found", "version_verified", "version_loaded", "traffic"):
        assert kind in kinds, kind
    assert kinds.index("version_found") < kinds.index("version_verified") < kinds.index("traffic")
    assert [event["at"] for event in found] == sorted(event["at"] for event in found)
    (ended,) = [event for event in found if event["kind"] == "process_ended"]
    assert (ended["who"], ended["process"]) == ("supervisor", "worker-0")
    assert "SIGKILL" in ended["why"]
    code, shown, _ = run(gateway, "events", "--since", "1h")
    assert code == 0
    assert "worker-0" in shown
    assert json.loads(run(gateway, "events", "--since", "1h", "--json")[1])[0]["kind"] == found[0]["kind"]


def test_annotations_are_what_grafana_expects(gateway: Gateway) -> None:
    """Every mark has time, timeEnd, title, tags and text, and lies in the asked range."""
    answer = gateway.client.get(f"{gateway.ports.admin}/api/annotations", params={"from": "1700000000000"})
    marks = answer.json()
    assert marks
    for mark in marks:
        assert set(mark) == {"time", "timeEnd", "title", "tags", "text"}
        assert mark["time"] > 1_700_000_000_000
        assert "driftgate" in mark["tags"]


@pytest.mark.parametrize("query", ["since=soon", "limit=0", "since=99999999999999999h", "from=1e9"])
def test_odd_questions_are_refused(gateway: Gateway, query: str) -> None:
    """What is no moment or no number is a bad request that says what would be one."""
    answer = gateway.client.get(f"{gateway.ports.admin}/api/events?{query}")
    assert answer.status_code == 400


def test_altered_history_is_named(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """`events verify` passes on what was written, and names the generation and line that were altered."""
    (tmp_path / "registry").mkdir()
    gateway = start_gateway()
    code, shown, problem = run(gateway, "events", "verify")
    assert code == 0, problem
    assert "generations" in shown
    path = next(gateway.layout.events.glob("supervisor-*"))
    path.write_bytes(path.read_bytes() + b"nothing of ours\n")
    code, _, problem = run(gateway, "events", "verify")
    assert code == 1
    assert f"{path.name}, line " in problem
    first = gateway.layout.desired / "1.json"
    first.write_bytes(b"{}")
    assert "generation 1" in run(gateway, "events", "verify")[2]
    assert run(gateway, "events")[0] == 0
