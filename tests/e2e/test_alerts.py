"""Alerts of a real gateway: people see and answer them over API and command line, and receivers are told."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from driftgate.monitoring.alerts.alert import Alert, Finding, NamedFeature, Rule, new_alert
from driftgate.monitoring.book.alert_tables import AlertChanges
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.store import now_us

from harness.gateway import Gateway, until
from harness.gateway import running as running_gateway
from harness.models import linear_model, publish_model
from harness.webhooks import Receiver, webhook_receiver

SECRET = b"of this test alone"
TOLD_WITHIN_S = 10.0
SETTINGS = """
[alerts.receivers.oncall]
webhook = "{url}"
secret_file = "{root}/secret"
allow_private = true
models = ["m*"]
"""


class Running(NamedTuple):
    """A gateway with an alert of model `m`, and who is told."""

    gateway: Gateway
    receiver: Receiver
    alert: Alert


@pytest.fixture(scope="module", name="running")
def running_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a gateway on a state directory in which an alert fires that nobody was told of."""
    root = tmp_path_factory.mktemp("alerts")
    publish_model(linear_model(2.0), root / "registry")
    (root / "secret").write_bytes(SECRET)
    (root / "state").mkdir()
    age = NamedFeature("<b>age\u2028</b>", "above 71", 6.2)
    text = "age\r\nforged: line \x1b[31m"
    finding = Finding(rule=Rule.DRIFT, model="m", version=1, features=(age,), window_us=now_us(), text=text)
    alert = new_alert(finding, now_us())
    db = MonitorDb(root / "state" / "monitor.db")
    db.put_alerts(AlertChanges((alert,), (), 0))
    db.close()
    with webhook_receiver() as receiver:
        (root / "driftgate.toml").write_text(SETTINGS.format(url=receiver.url, root=root))
        with running_gateway(root, environment={"DRIFTGATE__MONITOR__WINDOW_S": "1"}) as gateway:
            gateway.wait_version("m", 1)
            yield Running(gateway, receiver, alert)


def run(gateway: Gateway, *words: str) -> tuple[int, str, str]:
    """Run `driftgate alerts`; return its exit code and what it said."""
    command = [sys.executable, "-m", "driftgate.gateway.cli.main", "alerts", *words]
    done = subprocess.run(
        [*command, "--server", gateway.ports.admin], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def metrics(gateway: Gateway) -> str:
    """Scrape the gateway."""
    return gateway.client.get(f"{gateway.ports.metrics}/metrics").text


def test_a_receiver_is_told_of_what_fires(running: Running) -> None:
    """What fired when the monitor began is told, signed, and no text in it can end a line or begin a tag."""
    until(lambda: running.receiver.taken, TOLD_WITHIN_S, "the webhook is called")
    taken = running.receiver.taken[0]
    assert taken.is_signed_with(SECRET)
    assert not set(taken.body) & set(b"\r\n\x1b<>&")
    assert "\u2028" not in taken.body.decode()
    (told,) = json.loads(taken.body)["alerts"]
    assert (told["id"], told["said"], told["severity"]) == (running.alert.id, "firing", "ticket")


def test_people_see_alerts(running: Running) -> None:
    """The list names model, rule and feature; one alert tells its evidence; an unknown one is not found."""
    code, said, _ = run(running.gateway, "list", "m")
    assert code == 0
    assert all(word in said for word in (running.alert.id, "firing", "ticket", "age"))
    assert "\x1b" not in said
    code, said, _ = run(running.gateway, "show", f"m/{running.alert.id}")
    assert (code, "above 71" in said) == (0, True)
    assert run(running.gateway, "show", "m/nothing")[0] == 3


def test_a_silence_hushes_and_ends(running: Running) -> None:
    """A silence with a reason is in force when the command ends, a metric, and lifted by its id."""
    code, said, problem = run(running.gateway, "silence", "m", "--why", "migration", "--for", "1h", "--json")
    assert (code, json.loads(said)["state"]) == (0, "done"), problem
    series = 'driftgate_alert_silences{model="m"} 1.0'
    until(lambda: series in metrics(running.gateway), TOLD_WITHIN_S, "the metric")
    answer = running.gateway.admin("GET", "/api/models/m/alerts").json()
    assert [one["state"] for one in answer["alerts"]] == ["silenced"]
    assert [(one["why"], one["rule"]) for one in answer["silences"]] == [("migration", None)]
    assert run(running.gateway, "unsilence", f"m/{answer['silences'][0]['id']}")[0] == 0
    assert run(running.gateway, "unsilence", f"m/{answer['silences'][0]['id']}")[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        ("silence", "m", "--why", "x", "--for", "ever"),
        ("silence", "m", "--why", "x", "--rule", "sunspots"),
        ("ack", "no-id", "--why", "x"),
        ("silence", "m"),
    ],
)
def test_wrong_usage_is_named(running: Running, words: tuple[str, ...]) -> None:
    """What cannot be meant is refused before anything is asked."""
    assert run(running.gateway, *words)[0] == 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("m/silences", {"why": ""}, 400),
        ("m/silences", {"why": "x", "for_s": 10**9}, 400),
        ("m/silences", {"why": "x", "rule": "sunspots"}, 400),
        ("unknown/silences", {"why": "x"}, 404),
        ("m/alerts/nothing/acknowledge", {"why": "x"}, 404),
        ("m/alerts/test", {"why": "x"}, 400),
    ],
)
def test_bad_requests_are_refused(running: Running, path: str, body: dict[str, object], status: int) -> None:
    """A request that makes no sense changes nothing and says why."""
    assert running.gateway.admin("POST", f"/api/models/{path}", body).status_code == status


def test_an_acknowledgement_is_audited(running: Running) -> None:
    """Who looks at an alert, and why, stands in the alert and in the timeline; twice is a conflict."""
    name = f"m/{running.alert.id}"
    assert run(running.gateway, "ack", name, "--why", "a known season")[0] == 0
    assert run(running.gateway, "ack", name, "--why", "again")[0] == 4
    events = running.gateway.admin("GET", "/api/events?since=1h&model=m").json()["events"]
    kinds = [event["kind"] for event in events]
    assert {"alerts_silenced", "alerts_unsilenced", "alert_acknowledged"} <= set(kinds)
    (event,) = (event for event in events if event["kind"] == "alert_acknowledged")
    assert "a known season" in event["why"]
    shown = running.gateway.admin("GET", "/api/models/m/alerts").json()["alerts"][0]
    assert (shown["state"], shown["why"]) == ("acknowledged", "a known season")


def test_receivers_can_be_tried(running: Running) -> None:
    """A test reaches every receiver of a model, and says that it is one."""
    before = len(running.receiver.taken)
    assert run(running.gateway, "test", "m")[0] == 0
    until(lambda: len(running.receiver.taken) > before, TOLD_WITHIN_S, "the webhook is called")
    assert json.loads(running.receiver.taken[-1].body)["alerts"][0]["rule"] == "test"


def test_broken_requests_page_somebody(running: Running) -> None:
    """If most requests are refused window after window somebody is paged, from the first minute on."""

    def paged() -> list[dict[str, Any]]:
        for _ in range(10):
            running.gateway.infer("m", [[1.0, 2.0, 3.0, 4.0]])
            for _ in range(3):
                running.gateway.client.post(f"{running.gateway.ports.data}/v2/models/m/infer", content=b"{")
        told = [one for taken in list(running.receiver.taken) for one in json.loads(taken.body)["alerts"]]
        return [one for one in told if one["rule"] == "broken_data"]

    until(paged, 30, "somebody is paged")
    (page,) = paged()
    assert (page["severity"], page["said"], page["model"]) == ("page", "firing", "m")
    assert page["features"][0]["what"] == "most requests refused"
    series = 'driftgate_alerts{model="m",rule="broken_data",severity="page",state="firing"} 1.0'
    until(lambda: series in metrics(running.gateway), TOLD_WITHIN_S, "the metric")
    events = running.gateway.admin("GET", "/api/events?since=1h&model=m").json()["events"]
    assert ("monitor", "alert_firing") in {(event["who"], event["kind"]) for event in events}


def test_no_log_line_is_forged(running: Running, tmp_path: Path) -> None:
    """Whatever an alert says, each line of the log is one JSON document, and none holds the secret."""
    lines = running.gateway.log.read_bytes().splitlines()
    assert all(line.startswith((b"{", b"Driftgate", b"  ")) for line in lines)
    assert SECRET not in running.gateway.log.read_bytes()
