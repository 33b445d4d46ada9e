"""Rules and Grafana dashboards against what a real gateway tells a real Prometheus."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LinearRegression

import driftgate
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.state.beat import read_beat
from driftgate.gateway.state.slots import beat_path
from driftgate.monitoring.alerts.alert import Rule

from harness.features import declare, entity_rows, load_view
from harness.gateway import Gateway, running, until
from harness.grafana import DASHBOARDS, expressions
from harness.past_windows import write_firing_alert
from harness.prometheus import DEPLOYED, Prometheus, scraping

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="there is no Prometheus: apt install prometheus")

USERS = FeatureView(
    "users", (JoinKey("user"),), (Feature("age", "float32", on_missing="default", default=40.0),)
)
SELECTOR = re.compile(r"(?:model:)?driftgate_\w+(?::\w+)?(?:\{[^}]*\})?")
SERIES = re.compile(r"(\w+)\{(.*)\}")
LABEL = re.compile(r'(\w+)="')
EMPTY: Mapping[str, str] = {"driftgate_version_ejected": "no version crashed workers or failed its requests"}
"""What has no series here, and why that is right."""
FIRING = {"DriftgateDrift", "DriftgateBrokenData"}
PENDING = {"DriftgateVersionRefused", "DriftgateReceiverFailing"}
"""True from the beginning, and to be told once it has been so for a while."""


@pytest.fixture(scope="module", name="gateway")
def gateway_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with stored features, a version that is refused, open alerts and a receiver that fails."""
    root = tmp_path_factory.mktemp("scraped")
    declare(root / "registry", USERS)
    load_view(root / "state" / "features", USERS, entity_rows(USERS, [("ann",)], {"age": [40.0]}))
    for version in (1, 2, 3):
        publish(root, version)
    (root / "registry" / "pay" / "3" / "model.onnx").write_bytes(b"damaged")
    write_firing_alert(root / "state" / "monitor.db", "pay", "income", Rule.BROKEN_DATA)
    write_firing_alert(root / "state" / "monitor.db", "pay", "income")
    (root / "driftgate.toml").write_text('[alerts.receivers.oncall]\ncommand = ["/bin/false"]\n')
    with running(root, environment={"DRIFTGATE__MONITOR__WINDOW_S": "1"}) as gateway:
        gateway.wait_version("pay", 2)
        yield gateway


def publish(root: Path, version: int) -> None:
    """Publish a version of a model of a stored and a sent feature."""
    rng = np.random.default_rng(version)
    frame = pd.DataFrame({"age": rng.normal(40, 10, 300), "income": rng.normal(2, 1, 300)})
    driftgate.publish(
        LinearRegression().fit(frame, frame["income"] * version),
        name="pay",
        version=version,
        registry=root / "registry",
        reference=frame,
        features={"views": [{"view": "users", "keys": {"user": "user"}, "features": ["age"]}]},
    )
    (root / "registry" / "pay" / "model.toml").write_text("[alerts]\nmax_age_days = 90\n")


@pytest.fixture(scope="module", name="prometheus")
def prometheus_fixture(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that saw the gateway answer, fail requests, crash a worker, and be changed."""
    gateway.admin("PUT", "/api/models/pay/shadow", {"version": 1, "percent": 100}).raise_for_status()
    body = {"why": "test", "for_s": 600, "rule": "no_data"}
    gateway.admin("POST", "/api/models/pay/silences", body).raise_for_status()
    gateway.admin("POST", "/api/models/pay/alerts/test", {}).raise_for_status()
    target = urlsplit(gateway.ports.metrics).netloc
    with scraping(str(PROMETHEUS), tmp_path_factory.mktemp("prometheus"), target) as prometheus:
        until(lambda: prometheus.ask("driftgate_worker_last_crash_timestamp_seconds"), 10, "a first scrape")
        until(crash(gateway), 20, "another worker accepts")
        gateway.admin("PUT", "/api/models/pay/shadow", {"version": 1, "percent": 50}).raise_for_status()
        waiting = questions(prometheus)
        ask_until(gateway, lambda: not answered(prometheus, waiting), "all that can be scraped is")
        yield prometheus


def crash(gateway: Gateway) -> Callable[[], bool]:
    """Kill the worker; return whether there is another one."""
    beat = read_beat(beat_path(gateway.layout, 0))
    assert beat is not None
    os.kill(beat.pid, signal.SIGKILL)

    def is_back() -> bool:
        now = read_beat(beat_path(gateway.layout, 0))
        return now is not None and now.pid != beat.pid and gateway.ready()

    return is_back


def ask_until(gateway: Gateway, condition: Callable[[], bool], what: str) -> None:
    """Send requests of which one is answered and one comes too late, until a condition holds."""
    url, body = f"{gateway.ports.data}/v2/models/pay/predict", {"rows": [{"user": "ann", "income": 2.0}]}

    def asked() -> bool:
        gateway.client.post(url, json=body)
        gateway.client.post(url, json=body, headers={"grpc-timeout": "1n"})
        return condition()

    until(asked, 20, what)


def answered(prometheus: Prometheus, waiting: set[str]) -> set[str]:
    """Take out of `waiting` what has an answer, and return the rest."""
    waiting -= {one for one in waiting if prometheus.ask(one)}
    return waiting


def questions(prometheus: Prometheus) -> set[str]:
    """Return what rules name and dashboards ask, but for what is rightly empty."""
    named = {one for rule in prometheus.rules() for one in SELECTOR.findall(rule["query"])}
    asked = {one for path in DASHBOARDS for one in expressions(path)}
    return {one for one in named | asked if not any(name in one for name in EMPTY)}


def test_every_rule_is_evaluated(prometheus: Prometheus) -> None:
    """No rule fails, such as by two series on one side."""
    known = yaml.safe_load((DEPLOYED / "rules.yaml").read_text())["groups"]
    found = {rule["name"]: rule for rule in prometheus.rules()}
    assert len(found) == sum(len(group["rules"]) for group in known)
    until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), 10, "every rule is evaluated")
    assert not [rule["lastError"] for rule in prometheus.rules() if rule.get("lastError")]


def test_rules_and_panels_find_what_they_ask_for(prometheus: Prometheus) -> None:
    """Every series that a rule names and every question of a panel has an answer."""
    assert [one for one in questions(prometheus) if not prometheus.ask(one)] == []


def test_alerts_fire_on_a_real_gateway(prometheus: Prometheus) -> None:
    """What is wrong with this gateway is told, and nothing else but what its late requests cause."""

    def states() -> dict[str, str]:
        return {rule["name"]: rule["state"] for rule in prometheus.rules() if rule["type"] == "alerting"}

    until(
        lambda: {name for name, state in states().items() if state == "firing"} >= FIRING, 10, "alerts fire"
    )
    raised = {name for name, state in states().items() if state != "inactive"}
    assert raised - {"DriftgateErrorsFast", "DriftgateErrorsSlow"} == FIRING | PENDING


def test_a_crash_is_seen(prometheus: Prometheus) -> None:
    """A worker that was killed moves the time that the rule counts changes of."""
    (found,) = prometheus.ask("changes(driftgate_worker_last_crash_timestamp_seconds[1h])")
    assert float(found["value"][1]) >= 1


def test_cases_have_the_labels_of_real_series(prometheus: Prometheus) -> None:
    """A rule is proven on series as they are scraped, not as somebody thought that they are."""
    cases = yaml.safe_load((DEPLOYED / "rules.test.yaml").read_text())["tests"]
    series = {one["series"] for case in cases for one in case["input_series"]}
    for name, labels in sorted(found.groups() for one in series if (found := SERIES.fullmatch(one))):
        real = {frozenset(one["metric"]) - {"__name__"} for one in prometheus.ask(name)}
        assert name in EMPTY or frozenset(LABEL.findall(labels)) in real, name
